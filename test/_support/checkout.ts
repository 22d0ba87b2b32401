/** A copy of the repository, and the real gulp in it. */
import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { ExecutionContext } from 'ava';
import { copyCheckout } from '../../tasks/checkout-copy.ts';
import { hashFiles } from '../../tasks/digest.ts';

export const repository = resolve(import.meta.dirname, '..', '..');
const execute = promisify(execFile);

export interface Checkout {
  readonly root: string;
  /** Run gulp to its end in this checkout. */
  readonly gulp: (args: readonly string[], env?: NodeJS.ProcessEnv) => Promise<Ended>;
  /** Start gulp in a process group of its own. */
  readonly start: (args: readonly string[], env?: NodeJS.ProcessEnv) => Running;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Both streams, in the order they came. */
  readonly output: string;
  readonly stdout: string;
}

export interface Running {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  readonly says: (text: string) => Promise<void>;
  readonly output: () => string;
}

/** Copy the repository into a fresh folder named by `name`; with git, as one commit. */
export async function checkout(
  t: Pick<ExecutionContext, 'teardown'>,
  { name = 'checkout', git = false } = {},
): Promise<Checkout> {
  const base = await mkdtemp(join(tmpdir(), 'ktx-test-'));
  t.teardown(() => rm(base, { recursive: true, force: true, maxRetries: 5 }));
  const root = join(base, name);
  const skip = (path: string) => /^(test|packages\/[^/]+\/test|python\/[^/]+\/tests)\//.test(path);
  await copyCheckout(repository, root, { skip });
  if (git) await commitAll(root);
  return {
    root,
    gulp: (args, env) => start(root, args, env).ended,
    start: (args, env) => start(root, args, env),
  };
}

export async function commitAll(root: string): Promise<void> {
  const author = { GIT_AUTHOR_DATE: '2026-01-02T03:04:05Z', GIT_COMMITTER_DATE: '2026-01-02T03:04:05Z' };
  const git = (...args: string[]) =>
    execute('git', ['-c', 'user.name=test', '-c', 'user.email=test@example.com', ...args], {
      cwd: root,
      env: { ...process.env, ...author },
      maxBuffer: 64 * 1024 * 1024,
    });
  await git('init', '-q', '-b', 'main');
  await git('add', '-A');
  await git('commit', '-q', '-m', 'all');
}

function start(root: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  const { CI: _ci, ...ambient } = process.env;
  const child = spawn(process.execPath, [join(root, 'node_modules', 'gulp', 'bin', 'gulp.js'), ...args], {
    cwd: root,
    env: { ...ambient, FORCE_COLOR: '0', NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let output = '';
  let stdout = '';
  const waiting: { text: string; done: () => void }[] = [];
  const take = (chunk: string) => {
    output += chunk;
    for (const one of waiting) if (output.includes(one.text)) one.done();
  };
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    stdout += chunk;
    take(chunk);
  });
  child.stderr.setEncoding('utf8').on('data', take);
  const ended = new Promise<Ended>((done, fail) => {
    child.on('error', fail);
    child.on('close', (code, signal) => done({ code, signal, output, stdout }));
  });
  return {
    pid: child.pid as number,
    ended,
    output: () => output,
    says: (text) =>
      new Promise((done, fail) => {
        if (output.includes(text)) done();
        else waiting.push({ text, done });
        ended.then(() => fail(new Error(`ended without saying ${text}:\n${output}`)), fail);
      }),
  };
}

const TEXTS = { one: '# the one\n', other: '# the other\n' } as const;

/** Two states of the sources that differ in each language, so that every step runs from one to the other. */
export type Text = keyof typeof TEXTS;

export async function edit({ root }: Checkout, to: Text): Promise<void> {
  const text = TEXTS[to];
  await writeFile(join(root, 'python', 'ktx-sl', 'semantic_layer', 'edited.py'), text);
  await writeFile(join(root, 'python', 'ktx-daemon', 'src', 'ktx_daemon', 'edited.py'), text);
  await writeFile(join(root, 'packages', 'context', 'src', 'edited.ts'), `export const edited = '${text.trim()}';\n`);
  await writeFile(join(root, 'packages', 'context', 'README.md'), text);
}

/** Digests of the release folder, by path; nothing when there is none. */
export async function releaseOf({ root }: Checkout): Promise<Record<string, string>> {
  const folder = join(root, 'dist', 'artifacts');
  return existsSync(folder) ? hashFiles(folder) : {};
}

/** Digest-independent view of a folder: relative path and bytes of every file. */
export async function bytesOf(root: string, files: readonly string[]): Promise<Map<string, string>> {
  const entries = await Promise.all(
    files.map(async (file) => [file, (await readFile(join(root, file))).toString('base64')] as const),
  );
  return new Map(entries);
}
