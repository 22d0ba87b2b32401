/**
 * `gulp watch`: the staging tree of this checkout kept true while it is edited,
 * and with `--wheel` the wheel and assets after each change. The checkout's lock
 * is held only while something is rebuilt, so other tasks can run between.
 */
import { join } from 'node:path';
import { assets } from './assets.ts';
import { type Context, createContext } from './context.ts';
import { CARRIER, PYTHON_PACKAGES } from './identity.ts';
import { imports } from './imports.ts';
import { locks, locksStep } from './locks.ts';
import { duration } from './log.ts';
import { syntaxChecker } from './python-syntax.ts';
import { readSources, type Sources } from './sources.ts';
import { stageStep } from './stage.ts';
import { foresee, perform } from './step.ts';
import { watch } from './watch.ts';
import { wheel } from './wheel.ts';

export async function watchSources(context: Context): Promise<void> {
  const { at, log, signal, flags } = context;
  const { python } = await context.toolchain();
  const syntax = syntaxChecker(python.path);
  const manifests = [...PYTHON_PACKAGES.map(({ root }) => `${root}/pyproject.toml`), `${CARRIER.root}/package.json`];
  const beside = await prepare(context);
  log.say(`watching ${PYTHON_PACKAGES.map(({ tree }) => tree).join(' and ')}; staged in ${at.staging}`);
  try {
    await watch({
      sources: () => currentSources(fresh(context)),
      inputs: [...manifests.map((file) => join(at.root, file)), at.licence, at.uvLock, at.workspacePyproject],
      out: at.staging,
      beside,
      log,
      syntax,
      signal,
      onStaged: () => (flags.wheel ? rebuild(fresh(context)) : undefined),
    });
  } finally {
    syntax.close();
  }
  process.once('exit', () => {
    process.exitCode = 0; // Ctrl-C is how a watch ends, whatever code the signal stands for elsewhere
  });
}

/** What a context remembers of versions and steps is of one pass only; nothing is forced with every edit. */
function fresh({ at, ambient, log, flags, signal }: Context): Context {
  return createContext(at.root, { ambient, log, flags: { ...flags, force: false }, signal });
}

/**
 * Export the locks, which the generated files are made from, and claim a folder for what is staged beside: with the
 * checkout's lock, as a run that starts just then would take one without an owner for that of a dead run.
 */
async function prepare(context: Context): Promise<string> {
  const first = fresh(context);
  await first.hold('watch');
  try {
    await locks(first);
    return context.scratch().folder('watch');
  } finally {
    await first.release();
  }
}

/** The bill of materials among the sources is made with the locks: they are exported again when they would differ. */
async function currentSources(context: Context): Promise<Sources> {
  const sources = await readSources(context); // what is wrong in a pyproject is said here, not by uv
  const { runs } = await foresee(context, locksStep(context));
  if (!runs) return sources;
  await exportLocks(context);
  return readSources(context);
}

async function exportLocks(context: Context): Promise<void> {
  await context.hold('watch');
  await locks(context).finally(context.release);
}

async function rebuild(context: Context): Promise<void> {
  const started = performance.now();
  await context.hold('watch');
  try {
    await locks(context);
    await perform(context, stageStep(context, stagedSources));
    await Promise.all([imports(context), wheel(context)]);
    await assets(context);
    context.log.say(`wheel and assets are made of it (${duration(performance.now() - started)})`);
  } finally {
    await context.release();
  }
}

/** The trees as they were staged: by now the sources may have been edited again, and not for the better. */
async function stagedSources(context: Pick<Context, 'at' | 'identity'>) {
  const sources = await readSources(context);
  return { ...sources, trees: sources.trees.map((tree) => ({ ...tree, root: join(context.at.staging, tree.module) })) };
}
