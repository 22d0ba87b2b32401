/** A real npm registry on loopback: no uplink, its own storage, one account. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface LocalRegistry {
  readonly url: string;
  readonly token: string;
  readonly close: () => Promise<void>;
}

const CONFIG = (base: string) => `storage: ${path.join(base, 'storage')}
auth:
  htpasswd:
    file: ${path.join(base, 'htpasswd')}
uplinks: {}
packages:
  '**':
    access: $all
    publish: $authenticated
log: { type: stdout, level: fatal }
web: { enable: false }
`;

export async function localRegistry(): Promise<LocalRegistry> {
  const base = await mkdtemp(path.join(tmpdir(), 'ktx-registry-'));
  const config = path.join(base, 'config.yaml');
  await writeFile(config, CONFIG(base));
  const port = await freePort();
  const bin = path.resolve(import.meta.dirname, '..', '..', 'node_modules', 'verdaccio', 'bin', 'verdaccio');
  const child = spawn(process.execPath, [bin, '--config', config, '--listen', `127.0.0.1:${port}`], {
    cwd: base,
    env: { PATH: process.env.PATH, HOME: base, NODE_ENV: 'production' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const close = async () => {
    child.kill('SIGKILL');
    await rm(base, { recursive: true, force: true, maxRetries: 5 });
  };
  const url = `http://127.0.0.1:${port}/`;
  try {
    await answers(child, `${url}-/ping`);
    return { url, token: await account(url), close };
  } catch (error) {
    await close();
    throw error;
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        address && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}

async function answers(child: ChildProcess, url: string): Promise<void> {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += chunk));
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the registry ended with exit code ${child.exitCode}:\n${output}`);
    const response = await fetch(url).catch(() => undefined);
    if (response?.ok) return;
    await sleep(50);
  }
}

async function account(url: string): Promise<string> {
  const response = await fetch(`${url}-/user/org.couchdb.user:tester`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'tester', password: 'only-for-this-test' }),
  });
  const { token } = (await response.json()) as { token?: string };
  if (!token) throw new Error(`the registry made no account: ${response.status}`);
  return token;
}
