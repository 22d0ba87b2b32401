/**
 * Daemons for the tests: the workspace's real one, and one that answers as it is told.
 *
 * Without the real one its tests are skipped out loud; in CI that is a failure.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';

const root = resolve(fileURLToPath(new URL('../../../..', import.meta.url)));
const python = join(root, '.venv', process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python');

export interface Daemon {
  readonly env: Readonly<Record<string, string>>;
  stop(): void;
}

/** The real daemon of the workspace, or why there is none. */
export async function startDaemon(): Promise<Daemon | string> {
  if (!existsSync(python)) return 'the workspace has no .venv';
  try {
    execFileSync(python, ['-I', '-B', '-c', 'import ktx_daemon.app, semantic_layer.engine'], { stdio: 'ignore' });
  } catch {
    return 'the interpreter of the workspace (.venv) cannot import the daemon and the engine';
  }
  const token = 'of-the-tests';
  const child = spawn(python, ['-I', '-B', '-X', 'utf8', '-m', 'ktx_daemon', 'serve-http', '--port', '0'], {
    cwd: root,
    env: { PATH: process.env.PATH, KTX_DAEMON_TOKEN: token },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const port = await listening(child);
  return {
    // A crowded machine is no failure of the command.
    env: { KTX_DAEMON_URL: `http://127.0.0.1:${port}`, KTX_DAEMON_TOKEN: token, KTX_COMPUTE_TIMEOUT: '600' },
    stop: () => void child.kill('SIGTERM'),
  };
}

function listening(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the daemon ended with ${code}`)));
    if (child.stdout === null) return reject(new Error('the daemon has no stdout'));
    createInterface(child.stdout).once('line', (line) => resolve(Number(JSON.parse(line).port)));
  });
}

/** True if `daemon` runs; else the test is passed over with a note. */
export function needsDaemon(t: ExecutionContext, daemon: Daemon | string | undefined): daemon is Daemon {
  if (typeof daemon === 'object') return true;
  const reason = `skipped: ${daemon}`;
  if (process.env.CI) t.fail(reason);
  else t.pass();
  t.log(reason);
  return false;
}

export interface Asked {
  readonly route: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** A daemon that answers each route with what `answers` holds, and remembers what it was asked. */
export async function scriptedDaemon(
  t: ExecutionContext,
  answers: Readonly<Record<string, unknown>>,
): Promise<{ env: Record<string, string>; asked: Asked[] }> {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const route = request.url ?? '';
    asked.push({ route, body: JSON.parse(Buffer.concat(chunks).toString('utf8')) });
    const answer = answers[route];
    response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer ?? { detail: 'Not Found', code: 'not_found' }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return { env: { KTX_DAEMON_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }, asked };
}
