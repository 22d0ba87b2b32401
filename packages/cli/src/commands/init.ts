/** `ktx init`: `ktx.yaml` and `semantic-layer/`, nothing that exists is touched. */
import { existsSync, lstatSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Handler } from '../command.ts';
import { KtxError, PROJECT_FILE, SOURCES_FOLDER } from '../context.ts';
import { errnoOf, reasonOf } from '../errors.ts';

const TEMPLATE = `# Databases ktx may read. Add one with "ktx connection add", or by hand:
#
#   connections:
#     shop:
#       driver: postgres          # or sqlite, duckdb (with path:), …
#       url: env:DATABASE_URL     # secrets: env:NAME or file:PATH
#       schemas: [public]
#
# Sources of connection shop live in semantic-layer/shop/*.yaml; "ktx sl generate" writes them.
connections: {}
`;

export const init: Handler = async (context, [dir]) => {
  const { projectDir } = context.globals;
  const root = resolve(context.cwd, dir ?? projectDir ?? (context.env.KTX_PROJECT_DIR || '.'));
  const file = join(root, PROJECT_FILE);
  const folder = join(root, SOURCES_FOLDER);
  const created: string[] = [];
  try {
    if (!exists(root)) {
      // Made in one go, Node reports a read-only file system as a missing directory.
      mkdirSync(dirname(root), { recursive: true });
      mkdirSync(root);
    }
    if (!exists(file)) {
      writeWhole(file);
      created.push(PROJECT_FILE);
    }
    if (!exists(folder)) {
      mkdirSync(folder);
      created.push(`${SOURCES_FOLDER}/`);
    }
  } catch (error) {
    throw new KtxError('cannot_write', `The project cannot be made in ${root}: ${reasonOf(error)}`, {
      hint: 'Choose a directory you can write to: ktx init <dir>',
      cause: error,
    });
  }
  return {
    text:
      created.length === 0
        ? `${root} is a project already; nothing was changed.`
        : [
            `created ${created.join(' and ')} in ${root}`,
            '',
            'Next:',
            `  ${context.invocation} connection add <id> --driver postgres --url env:DATABASE_URL`,
            `  ${context.invocation} sl generate`,
          ].join('\n'),
    document: { kind: 'init', data: { root, created }, meta: { command: context.command } },
  };
};

/** An empty ktx.yaml, left by a full disk, would be taken for a project. */
function writeWhole(file: string): void {
  try {
    writeFileSync(file, TEMPLATE, { flag: 'wx' });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') rmSync(file, { force: true });
    throw error;
  }
}

/** Also true for a link that leads nowhere: it is somebody's. */
function exists(path: string): boolean {
  return (
    existsSync(path) ||
    lstatSync(path, { throwIfNoEntry: false }) !== undefined ||
    statSync(path, { throwIfNoEntry: false }) !== undefined
  );
}
