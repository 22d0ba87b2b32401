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
import { locks } from './locks.ts';
import { syntaxChecker } from './python-syntax.ts';
import { readSources } from './sources.ts';
import { stage } from './stage.ts';
import { watch } from './watch.ts';
import { wheel } from './wheel.ts';

export async function watchSources(context: Context): Promise<void> {
  const { at, log, signal, flags } = context;
  const { python } = await context.toolchain();
  const syntax = syntaxChecker(python.path);
  const manifests = [...PYTHON_PACKAGES.map(({ root }) => `${root}/pyproject.toml`), `${CARRIER.root}/package.json`];
  await exportLocks(context); // the generated files are made from them
  log.say(`watching ${PYTHON_PACKAGES.map(({ tree }) => tree).join(' and ')}; staged in ${at.staging}`);
  try {
    await watch({
      sources: () => readSources(fresh(context)),
      inputs: [...manifests.map((file) => join(at.root, file)), at.licence],
      out: at.staging,
      beside: (await context.scratch()).folder('watch'),
      log,
      syntax,
      signal,
      onStaged: () => (flags.wheel ? rebuild(fresh(context)) : undefined),
    });
  } finally {
    syntax.close();
  }
  process.exitCode = 0; // Ctrl-C is how a watch ends
}

/** What a context remembers of versions and steps is of one pass only. */
function fresh({ at, ambient, log, flags, signal }: Context): Context {
  return createContext(at.root, { ambient, log, flags, signal });
}

async function exportLocks(context: Context): Promise<void> {
  await context.hold('watch');
  await locks(context).finally(context.release);
}

async function rebuild(context: Context): Promise<void> {
  await context.hold('watch');
  try {
    await locks(context);
    await stage(context);
    await Promise.all([imports(context), wheel(context)]);
    await assets(context);
  } finally {
    await context.release();
  }
}
