/** `ktx connection add`: one more entry in `ktx.yaml`, comments and order kept. */
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import type { Handler } from '../../command.ts';
import { type ConnectionEntry, DRIVERS, hasLiteralPassword, withConnection } from '../../context.ts';
import { usageError } from '../../errors.ts';
import { openProject } from '../../project.ts';
import { replaceFile } from '../../replace-file.ts';

interface Options {
  readonly driver: string;
  readonly path?: string;
  readonly url?: string;
}

export const connectionAdd: Handler<Options> = async (context, [id = ''], options) => {
  const project = openProject(context);
  const entry = entryOf(options, project.root, context.cwd);
  const text = withConnection(readFileSync(project.file, 'utf8'), project.root, id, entry);
  replaceFile(realpathSync(project.file), text);
  const { terminal, invocation } = context;
  if (entry.url !== undefined && hasLiteralPassword(entry.url)) {
    terminal.warn(
      `ktx.yaml now holds the password of '${id}' in clear. Better: put the address into a variable and write url: env:NAME`,
    );
  }
  if (
    entry.path !== undefined &&
    !isReference(entry.path) &&
    statSync(resolve(project.root, entry.path), { throwIfNoEntry: false }) === undefined
  ) {
    terminal.warn(`there is no file ${resolve(project.root, entry.path)} yet`);
  }
  return {
    text: `added connection ${id} (${entry.driver})\nNext: ${invocation} connection test ${id}`,
    document: {
      kind: 'connection',
      data: { id, driver: entry.driver, file: project.file },
      meta: { command: context.command },
    },
  };
};

function entryOf({ driver, path, url }: Options, root: string, cwd: string): ConnectionEntry {
  const name = driver.trim().toLowerCase();
  const kind = Object.hasOwn(DRIVERS, name) ? DRIVERS[name] : undefined;
  if (kind === undefined) {
    throw usageError(`Unknown driver '${driver}'.`, `Use one of: ${Object.keys(DRIVERS).join(', ')}`);
  }
  const [wanted, other] = kind.address === 'path' ? (['path', 'url'] as const) : (['url', 'path'] as const);
  const given = { path, url };
  if (given[other] !== undefined) throw usageError(`Driver ${name} takes --${wanted}, not --${other}.`);
  const address = given[wanted];
  if (address === undefined) {
    if (kind.executor === undefined) return { driver: name };
    const example = kind.address === 'path' ? '--path data/my.db' : '--url env:DATABASE_URL';
    throw usageError(`Driver ${name} needs --${wanted}.`, `For example: ${example}`);
  }
  return { driver: name, [wanted]: wanted === 'path' ? fromProject(address, root, cwd) : address };
}

/** What was typed here, as seen from the project; outside of it, absolute. */
function fromProject(path: string, root: string, cwd: string): string {
  if (isReference(path)) return path;
  const absolute = isAbsolute(path) ? path : join(cwd, path);
  const inside = relative(root, absolute);
  if (isAbsolute(path) || inside.startsWith('..') || isAbsolute(inside)) return absolute;
  return inside.split(sep).join('/');
}

function isReference(text: string): boolean {
  return /^(env|file):/.test(text);
}
