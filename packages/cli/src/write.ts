/** Writes everything before the process may exit; a reader that went away (`| head`) is no error. */
export function writeAll(stream: NodeJS.WriteStream, content: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const closed = (error: Error & { code?: string }): void => {
      if (error.code === 'EPIPE' || error.code === 'ERR_STREAM_DESTROYED') resolve();
      else reject(error);
    };
    stream.once('error', closed);
    stream.write(content, (error) => {
      if (error) return closed(error);
      stream.removeListener('error', closed);
      resolve();
    });
  });
}
