/**
 * Runs the built ktx in a directory of the test's own, with an environment that holds nothing of ours.
 *
 * For what needs no runtime of its own; `world` has that.
 */
import { execFile, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ExecutionContext } from 'ava';
import { workspacePython } from '../../../context/test/_support/python.ts';
import { builtCli } from './world.ts';

const execute = promisify(execFile);
const person = fileURLToPath(new URL('person.py', import.meta.url));

let installed: Promise<string> | undefined;

/** `bin.js` of a package laid out as npm would, once per test process. */
function bin(): Promise<string> {
  installed ??= builtCli().then((folder) => {
    copyFileSync(fileURLToPath(new URL('../../package.json', import.meta.url)), join(folder, 'package.json'));
    return join(folder, 'dist', 'bin.js');
  });
  return installed;
}

/** Children at once: ava starts all tests of a file together. */
const ROOM = 3;
let running = 0;
const waiting: (() => void)[] = [];

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= ROOM) await new Promise<void>((resolve) => waiting.push(resolve));
  running += 1;
  try {
    return await work();
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly input?: string;
}

export interface Sandbox {
  readonly dir: string;
  ktx(args: readonly string[], options?: RunOptions): Promise<Ran>;
  /** What a terminal of 80x24 shows; undefined, and a note, where no Python can open one. */
  onTerminal(args: readonly string[], options?: RunOptions): Promise<string | undefined>;
  /** Runs with `--json` and gives the document; the run itself is under `ran`. */
  json(args: readonly string[], options?: RunOptions): Promise<{ document: never; ran: Ran }>;
}

export function sandbox(t: ExecutionContext, files: Readonly<Record<string, string | Uint8Array>> = {}): Sandbox {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'ktx-cli-')));
  t.timeout(10 * 60_000, 'waiting for a turn or a child');
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), content);
  }
  const run = async (args: readonly string[], { cwd = dir, env = {}, input = '' }: RunOptions): Promise<Ran> => {
    const child = spawn(process.execPath, [await bin(), ...args], {
      cwd,
      env: { PATH: process.env.PATH, HOME: dir, KTX_RUNTIME_ROOT: join(dir, 'runtime'), ...env } as NodeJS.ProcessEnv,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    const ended = new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
    const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
    return { code, stdout, stderr };
  };
  const ktx: Sandbox['ktx'] = (args, options = {}) => inTurn(() => run(args, options));
  const onTerminal: Sandbox['onTerminal'] = (args, { cwd = dir, env = {} } = {}) =>
    inTurn(async () => {
      const plan = {
        argv: [process.execPath, await bin(), ...args],
        env: { PATH: process.env.PATH, HOME: dir, KTX_RUNTIME_ROOT: join(dir, 'runtime'), TERM: 'xterm', ...env },
        cwd,
        steps: [],
        limit: 120,
      };
      for (const python of [workspacePython, 'python3']) {
        const played = await execute(python, [person, JSON.stringify(plan)]).catch(() => undefined);
        if (played !== undefined) return JSON.parse(played.stdout).output.replaceAll('\r\n', '\n');
      }
      if (process.env.CI) t.fail('no Python with the pty module');
      t.log('skipped: no Python with the pty module');
      t.pass();
      return undefined;
    });
  return {
    dir,
    ktx,
    onTerminal,
    json: async (args, options) => {
      const ran = await ktx([...args, '--json'], options);
      return { document: JSON.parse(ran.stdout) as never, ran };
    },
  };
}
