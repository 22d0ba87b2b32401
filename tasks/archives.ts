/**
 * Reading the two kinds of archive that are built: wheels (zip) and tarballs.
 *
 * Both give the members by path with their bytes; a name that leaves the
 * archive, a link, a device or a second member of one name is refused.
 */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { ReadEntry } from 'tar';
import yauzl from 'yauzl';
import { BuildError } from './errors.ts';

export type Members = ReadonlyMap<string, Buffer>;

/** Members of a zip file, by path; folders are left out. */
export async function readZip(file: string): Promise<Members> {
  const members = new Map<string, Buffer>();
  const zip = await new Promise<yauzl.ZipFile>((resolve, reject) =>
    yauzl.open(file, { lazyEntries: true, autoClose: true, strictFileNames: true }, (error, opened) =>
      error ? reject(unreadable(file, 'zip archive', error)) : resolve(opened),
    ),
  );
  await new Promise<void>((resolve, reject) => {
    zip.on('error', (error) => reject(unreadable(file, 'zip archive', error)));
    zip.on('end', resolve);
    zip.on('entry', (entry: yauzl.Entry) => {
      if (entry.fileName.endsWith('/')) return zip.readEntry();
      zip.openReadStream(entry, (error, stream) => {
        if (error) return reject(unreadable(file, 'zip archive', error));
        const chunks: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('error', (broken) => reject(unreadable(file, 'zip archive', broken)));
        stream.on('end', () => {
          try {
            add(members, entry.fileName, Buffer.concat(chunks), file);
            zip.readEntry();
          } catch (cause) {
            reject(cause);
          }
        });
      });
    });
    zip.readEntry();
  });
  return members;
}

/** Members of a gzipped tarball, by path as stored; folders are left out. */
export async function readTarball(file: string): Promise<Members> {
  const members = new Map<string, Buffer>();
  const compressed = await readFile(file);
  if (compressed[0] !== 0x1f || compressed[1] !== 0x8b) {
    throw new BuildError(
      'archive',
      `${basename(file)} is no gzip file`,
      'Build it again with `gulp artifacts --force`.',
    );
  }
  let failed: unknown;
  const { Parser } = await import('tar'); // slow to load, and not needed where nothing is packed
  const parser = new Parser({ strict: true });
  parser.on('entry', (entry: ReadEntry) => {
    const chunks: Buffer[] = [];
    entry.on('data', (chunk) => chunks.push(chunk as Buffer));
    entry.on('end', () => {
      try {
        if (entry.type === 'Directory') return;
        if (entry.type !== 'File' && entry.type !== 'OldFile') {
          throw unreadable(file, 'tarball', new Error(`${entry.path} is a ${entry.type}`));
        }
        add(members, entry.path, Buffer.concat(chunks), file);
      } catch (cause) {
        failed ??= cause;
      }
    });
  });
  parser.on('error', (error) => {
    failed ??= unreadable(file, 'tarball', error);
  });
  await new Promise<void>((resolve) => {
    parser.on('end', resolve);
    parser.on('error', () => resolve());
    try {
      parser.end(gunzipSync(compressed));
    } catch (error) {
      failed ??= unreadable(file, 'tarball', error);
      resolve();
    }
  });
  if (failed) throw failed;
  return members;
}

function add(members: Map<string, Buffer>, path: string, content: Buffer, file: string): void {
  const parts = path.split('/');
  if (
    path.startsWith('/') ||
    path.includes('\\') ||
    path.includes('\0') ||
    parts.includes('..') ||
    parts.includes('')
  ) {
    throw unreadable(file, 'archive', new Error(`the member name ${JSON.stringify(path)} is unsafe`));
  }
  if (members.has(path)) throw unreadable(file, 'archive', new Error(`it holds ${path} twice`));
  members.set(path, content);
}

function unreadable(file: string, kind: string, cause: unknown): BuildError {
  return new BuildError(
    'archive',
    `${basename(file)} is no sound ${kind}: ${(cause as Error).message}`,
    'Build it again with `gulp artifacts --force`.',
    { cause },
  );
}
