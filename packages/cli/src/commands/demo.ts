/** `ktx demo`: a small project with data, copied; needs no network and no runtime. */
import { randomBytes } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import type { CommandContext, Handler } from '../command.ts';
import { KtxError } from '../context.ts';
import { reasonOf } from '../errors.ts';
import { packageRoot, runsFromSources } from '../package-root.ts';

const DATABASE = join('data', 'harbor.sqlite');

export const demo: Handler = async (context, [dir = 'ktx-demo']) => {
  const target = resolve(context.cwd, dir);
  demandEmpty(target);
  const source = join(packageRoot, 'assets', 'demo');
  if (!existsSync(join(source, 'ktx.yaml'))) {
    throw new KtxError('asset_invalid', `The demo is missing from this installation: ${source}`, {
      hint: 'Install ktx again: npm i -g @kaelio/ktx',
    });
  }
  await place(source, target);
  const commands = commandsOf(context, target);
  return {
    text: [
      `The demo project is in ${target}: a roastery's orders in SQLite, five sources.`,
      '',
      'Try these three:',
      ...commands.map((command) => `  ${command}`),
      '',
      'The last one prints:',
      ...answer(source).map((line) => `  ${line}`),
      '',
      'README.md there shows all of it, and what a plain join would have said.',
    ].join('\n'),
    document: { kind: 'demo', data: { path: target, commands }, meta: { command: context.command } },
  };
};

/** What the README shows under the command that runs the query; a test holds it true. */
function answer(source: string): readonly string[] {
  const [, block = ''] = /--format table\n([\s\S]*?)\n```/.exec(readFileSync(join(source, 'README.md'), 'utf8')) ?? [];
  return block.split('\n');
}

function demandEmpty(target: string): void {
  const found = statSync(target, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (found.isDirectory() && readdirSync(target).length === 0) return;
  throw new KtxError(
    'not_empty',
    `${target} ${found.isDirectory() ? 'is not empty' : 'is a file'}; nothing was changed.`,
    {
      hint: 'Choose another directory: ktx demo <dir>',
    },
  );
}

/** Made beside its place, then renamed into it: no half of a demo is ever seen. */
async function place(source: string, target: string): Promise<void> {
  const beside = join(dirname(target), `.ktx-demo-${randomBytes(4).toString('hex')}`);
  try {
    mkdirSync(dirname(target), { recursive: true });
    copyTree(source, beside);
    // A checkout has no database until the package is built; make the same bytes.
    if (runsFromSources && !existsSync(join(beside, DATABASE))) {
      const { writeDemoDatabase } = await import('../demo/database.ts');
      writeDemoDatabase(join(beside, DATABASE));
    }
    // Only an empty directory can be in the way, and not every system renames onto one.
    if (existsSync(target)) rmdirSync(target);
    renameSync(beside, target);
  } catch (error) {
    rmSync(beside, { recursive: true, force: true });
    throw new KtxError('cannot_write', `The demo cannot be written to ${target}: ${reasonOf(error)}`, {
      hint: 'Choose a directory you can write to: ktx demo <dir>',
      cause: error,
    });
  }
}

/** File by file: under Yarn's Plug'n'Play the package is a zip, which `cpSync` cannot see into. */
function copyTree(from: string, to: string): void {
  mkdirSync(to);
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const copy = entry.isDirectory() ? copyTree : copyFileSync;
    copy(join(from, entry.name), join(to, entry.name));
  }
}

const QUERY =
  'sl query --measure order_items.revenue --measure refunds.refunded --dimension customers.region --order-by customers.region';

function commandsOf({ invocation, cwd }: CommandContext, target: string): string[] {
  const path = relative(cwd, target);
  const enter = path === '' ? '' : `cd ${/^[\w./-]+$/.test(path) ? path : `"${path}"`} && `;
  return [
    `${enter}${invocation} sl list`,
    `${invocation} ${QUERY} --format sql`,
    `${invocation} ${QUERY} --execute --format table`,
  ];
}
