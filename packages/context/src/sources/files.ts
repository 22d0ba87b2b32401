/** The YAML files under one connection's folder: sorted, regular, none outside. */
import { readdirSync, realpathSync, statSync } from 'node:fs';
import { join, sep } from 'node:path';

export interface Found {
  /** POSIX paths relative to the folder, in load order. */
  readonly files: readonly string[];
  /** Entries that are not read, and why. */
  readonly skipped: readonly {
    readonly path: string;
    readonly reason: string;
    readonly severity: 'error' | 'warning';
  }[];
}

export function yamlFiles(folder: string): Found {
  const files: string[] = [];
  const skipped: { path: string; reason: string; severity: 'error' | 'warning' }[] = [];
  const inside = realpathSync(folder) + sep;
  const visit = (prefix: string): void => {
    for (const entry of readdirSync(join(folder, prefix), { withFileTypes: true })) {
      const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
      if (entry.isDirectory()) visit(path);
      else if (entry.name.endsWith('.yml')) {
        skipped.push({ path, reason: 'only *.yaml is read; rename the file', severity: 'warning' });
      } else if (entry.isSymbolicLink()) link(path);
      else if (entry.isFile() && entry.name.endsWith('.yaml')) files.push(path);
    }
  };
  // A link may give a file a second name inside the folder; what lies outside is not the project's.
  const link = (path: string): void => {
    const full = join(folder, path);
    const target = statSync(full, { throwIfNoEntry: false });
    if (target === undefined) {
      if (path.endsWith('.yaml')) skipped.push({ path, reason: 'the link leads nowhere', severity: 'error' });
    } else if (!realpathSync(full).startsWith(inside)) {
      skipped.push({ path, reason: 'the link leads out of the project, so it is not read', severity: 'error' });
    } else if (target.isFile() && path.endsWith('.yaml')) files.push(path);
  };
  visit('');
  // By code unit of the whole path, as the engine's own loader does.
  return { files: files.sort((a, b) => (a < b ? -1 : 1)), skipped };
}
