/**
 * What every task is given: the layout, the log, the flags, the tools, and one
 * abort signal for Ctrl-C. Made once by the gulpfile, or by a test.
 */
import { randomUUID } from 'node:crypto';
import { hashFiles, sha256 } from './digest.ts';
import { childEnvironment } from './environment.ts';
import { type Identity, readIdentity } from './identity.ts';
import { type Layout, layout } from './layout.ts';
import { acquireLock, type Lock } from './lock.ts';
import { type Log, terminalLog } from './log.ts';
import { type Revision, readRevision } from './revision.ts';
import { type Command, killAll, run } from './run.ts';
import { openScratch, type Scratch } from './scratch.ts';
import type { Outcome } from './step.ts';
import { EXCHANGE_PROGRAM, type Exchange } from './swap.ts';
import { readToolchain, type Toolchain } from './toolchain.ts';

/** What a person may say after the task's name. */
export interface Flags {
  readonly force: boolean;
  readonly explain: boolean;
  readonly json: boolean;
  readonly keep: boolean;
  readonly wheel: boolean;
  readonly timings: boolean;
  readonly yes: boolean;
  readonly cleanRoom: boolean;
  readonly release: string | undefined;
}

export interface Context {
  readonly at: Layout;
  readonly ambient: NodeJS.ProcessEnv;
  readonly log: Log;
  readonly flags: Flags;
  readonly signal: AbortSignal;
  /** Names this run in the scratch folder. */
  readonly token: string;
  /** What each step did, in the order of their ends. */
  readonly outcomes: Outcome[];
  /** Steps of this pass by name: two tasks that stand on one step share its run. */
  readonly performed: Map<string, Promise<unknown>>;
  readonly exchange: Exchange;
  readonly toolchain: () => Promise<Toolchain>;
  readonly identity: () => Promise<Identity>;
  readonly revision: () => Promise<Revision>;
  /** Digest of the graph's own code: an input of every step. */
  readonly ownCode: () => Promise<string>;
  /** The folder for what is built beside; claimed on first use, and those of dead runs are swept then. */
  readonly scratch: () => Scratch;
  /** Run a child to its end; returns captured stdout. */
  readonly run: (plan: Command) => Promise<string>;
  /** Take the checkout's lock for the rest of the process, or until `release`. */
  readonly hold: (task: string) => Promise<void>;
  readonly release: () => Promise<void>;
}

export const NO_FLAGS: Flags = {
  force: false,
  explain: false,
  json: false,
  keep: false,
  wheel: false,
  timings: false,
  yes: false,
  cleanRoom: true,
  release: undefined,
};

export interface ContextOptions {
  readonly ambient?: NodeJS.ProcessEnv;
  readonly log?: Log;
  readonly flags?: Partial<Flags>;
  readonly signal?: AbortSignal;
}

export function createContext(root: string, options: ContextOptions = {}): Context {
  const at = layout(root);
  const ambient = options.ambient ?? process.env;
  const log = options.log ?? terminalLog();
  const signal = options.signal ?? new AbortController().signal;
  const token = randomUUID().replaceAll('-', '').slice(0, 12);
  const lock = lockKeeper(at, log, signal);
  const desk = scratchKeeper(at, token);
  const start = async (plan: Command) => run(plan, { log, signal, adopt: desk.adopt });
  const toolchain = once(() => readToolchain(root, ambient, signal));
  const git = (args: readonly string[]) =>
    start({
      task: 'git',
      command: 'git',
      args: ['-c', `safe.directory=${root}`, ...args],
      cwd: root,
      env: childEnvironment(ambient),
      timeout: 60_000,
      capture: true,
    });
  const exchange: Exchange = async (a, b) => {
    if (process.platform === 'win32') return false;
    const { python } = await toolchain();
    const plan = { task: 'swap', command: python.path, cwd: root, env: childEnvironment(ambient), timeout: 30_000 };
    return start({ ...plan, args: ['-I', '-S', '-c', EXCHANGE_PROGRAM, a, b] }).then(
      () => true,
      () => false,
    );
  };
  return {
    at,
    ambient,
    log,
    signal,
    token,
    exchange,
    toolchain,
    flags: { ...NO_FLAGS, ...options.flags },
    outcomes: [],
    performed: new Map(),
    identity: once(() => readIdentity(at)),
    revision: once(() => readRevision(at, ambient, git)),
    ownCode: once(async () => sha256(JSON.stringify(await hashFiles(at.tasks)))),
    run: start,
    scratch: desk.scratch,
    hold: lock.hold,
    async release() {
      desk.release();
      await lock.release();
    },
  };
}

/**
 * One scratch folder a run. gulp leaves at the first failure of a parallel, so
 * what siblings' children and folders would leave behind is ended at exit.
 */
function scratchKeeper(at: Layout, token: string) {
  let open: Scratch | undefined;
  const leave = () => {
    killAll();
    open?.remove();
  };
  return {
    scratch(): Scratch {
      if (!open) {
        open = openScratch(at.work, token);
        process.once('exit', leave);
      }
      return open;
    },
    /** Children of before a scratch folder is claimed are short questions; they are not noted. */
    adopt: (pid: number) => open?.adopt(pid) ?? (() => {}),
    release(): void {
      process.off('exit', leave);
      open?.remove();
      open = undefined;
    },
  };
}

/** One lock a process: the first step takes it, the end of the process or `release` gives it up. */
function lockKeeper(at: Layout, log: Log, signal: AbortSignal): Pick<Context, 'hold' | 'release'> {
  let lock: Promise<Lock> | undefined;
  return {
    async hold(task) {
      lock ??= acquireLock(at.lock, `gulp ${task}`, log, signal).then((held) => {
        process.once('exit', held.release);
        return held;
      });
      await lock;
    },
    async release() {
      const held = await lock?.catch(() => undefined);
      lock = undefined;
      if (held) {
        process.off('exit', held.release);
        held.release();
      }
    },
  };
}

/**
 * Ctrl-C and SIGTERM: abort, give children and clean-up 5 s, then leave with the
 * code of the signal. A second one leaves at once.
 */
export function abortOnSignals(): AbortSignal {
  const controller = new AbortController();
  for (const [name, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) {
        killAll();
        process.exit(code);
      }
      process.exitCode = code;
      process.once('exit', () => {
        process.exitCode = code;
      });
      controller.abort(new Interrupted(name));
      setTimeout(() => {
        killAll();
        process.exit(code);
      }, 5000).unref();
    });
  }
  return controller.signal;
}

/** The reason of an abort by a signal; not a failure of any step. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly showStack = false;
  constructor(signal: string) {
    super(`ended by ${signal}`);
  }
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
