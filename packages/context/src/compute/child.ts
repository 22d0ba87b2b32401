/**
 * One child process for one exchange: bytes in, bytes out, bounded in time and memory.
 *
 * The child leads its own process group, so whatever it started ends with it; it cannot outlive us,
 * and its output cannot exhaust us.
 */
import { type ChildProcess, spawn } from 'node:child_process';

export interface ChildCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface ChildLimits {
  readonly timeoutMs: number;
  /** Bytes of stdout kept before the child is killed. */
  readonly maxOutput: number;
  readonly signal?: AbortSignal | undefined;
}

export interface ChildResult {
  readonly stdout: Buffer;
  /** The last 64 KiB. */
  readonly stderr: string;
  readonly exitCode: number | null;
  readonly exitSignal: NodeJS.Signals | null;
  /** Why we ended it, if we did. */
  readonly ended?: 'timeout' | 'output';
}

const STDERR_TAIL = 64 * 1024;

const alive = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of alive) killGroup(child);
});

/**
 * Runs `command` with `input` on stdin; input still to come finds the child started, and the time counts from it.
 * Resolves however the child ended; rejects with the system's error if it could not be started, with the signal's
 * reason if it was aborted, and with the input's error if there will be none.
 */
export function runChild(
  command: ChildCommand,
  input: Uint8Array | Promise<Uint8Array>,
  limits: ChildLimits,
): Promise<ChildResult> {
  return new Promise((resolve, reject) => {
    limits.signal?.throwIfAborted();
    const child = spawn(command.command, command.args, {
      ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
      env: { ...command.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: process.platform !== 'win32',
      windowsHide: true,
    });
    alive.add(child);
    const stdout: Buffer[] = [];
    let received = 0;
    let stderr = Buffer.alloc(0);
    let ended: 'timeout' | 'output' | undefined;
    const end = (why: 'timeout' | 'output'): void => {
      ended ??= why;
      stdout.length = 0;
      killGroup(child);
    };
    let timer: NodeJS.Timeout | undefined;
    const abort = (): void => killGroup(child);
    limits.signal?.addEventListener('abort', abort, { once: true });
    const settle = (): void => {
      clearTimeout(timer);
      alive.delete(child);
      limits.signal?.removeEventListener('abort', abort);
    };
    child.stdout.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (received > limits.maxOutput) end('output');
      else if (ended === undefined) stdout.push(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      const joined = Buffer.concat([stderr, chunk.subarray(-STDERR_TAIL)]);
      stderr = Buffer.from(joined.subarray(-STDERR_TAIL));
    });
    child.on('error', (error) => {
      settle();
      reject(error);
    });
    child.on('close', (exitCode, exitSignal) => {
      settle();
      // A grandchild may still hold the group; its leader is gone.
      killGroup(child);
      if (limits.signal?.aborted) reject(limits.signal.reason);
      else {
        const result = { stdout: Buffer.concat(stdout), stderr: stderr.toString('utf8'), exitCode, exitSignal };
        resolve(ended === undefined ? result : { ...result, ended });
      }
    });
    // A child that ends without reading breaks the pipe; its exit says more than EPIPE would.
    child.stdin.on('error', () => {});
    Promise.resolve(input).then(
      (bytes) => {
        if (alive.has(child)) timer = setTimeout(end, limits.timeoutMs, 'timeout' as const);
        child.stdin.end(bytes);
      },
      (error) => {
        reject(error);
        killGroup(child);
      },
    );
  });
}

function killGroup(child: ChildProcess): void {
  const { pid } = child;
  if (pid === undefined) return;
  try {
    if (process.platform === 'win32') child.kill('SIGKILL');
    else process.kill(-pid, 'SIGKILL');
  } catch {
    // The group is gone already.
  }
}
