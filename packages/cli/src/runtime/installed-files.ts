/**
 * Re-hashes installed files against the RECORD of their packages.
 *
 * RECORD is CSV of path, `sha256=<urlsafe base64 without padding>`, size, relative to site-packages
 * (packaging.python.org). Lines without a digest (RECORD itself, bytecode) say nothing to check.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { envDirOf, type InstalledManifest } from './installed.ts';
import type { RuntimePaths } from './paths.ts';

export interface FilesChecked {
  readonly checked: number;
  /** `<path> is missing`, `<path> was changed`. */
  readonly faults: readonly string[];
}

/** The bundled wheel's files, or with `deep` those of every installed package. */
export async function checkFiles(
  paths: RuntimePaths,
  manifest: InstalledManifest,
  deep: boolean,
): Promise<FilesChecked> {
  const site = await sitePackages(envDirOf(paths, manifest.generation));
  const infos = (await readdir(site)).filter((name) => name.endsWith('.dist-info')).sort();
  const chosen = deep ? infos : infos.filter((name) => name.startsWith('kaelio_ktx-'));
  if (chosen.length === 0) return { checked: 0, faults: [`${join(site, 'kaelio_ktx-*.dist-info')} is missing`] };
  let checked = 0;
  const faults: string[] = [];
  for (const info of chosen) {
    const record = join(site, info, 'RECORD');
    const text = await readFile(record, 'utf8').catch(() => undefined);
    if (text === undefined) {
      faults.push(`${record} is missing`);
      continue;
    }
    const lines = recordLines(text);
    if (lines.length === 0) faults.push(`${record} names no file`);
    for (const { path, sha256 } of lines) {
      checked += 1;
      const file = resolve(site, path);
      const content = await readFile(file).catch(() => undefined);
      if (content === undefined) faults.push(`${file} is missing`);
      else if (createHash('sha256').update(content).digest('base64url') !== sha256) faults.push(`${file} was changed`);
    }
  }
  return { checked, faults };
}

export function recordLines(text: string): { path: string; sha256: string }[] {
  return text.split(/\r?\n/).flatMap((line) => {
    const match = /^(?:"((?:[^"]|"")*)"|([^,]*)),sha256=([A-Za-z0-9_-]{43}),\d*$/.exec(line);
    if (match === null) return [];
    return [{ path: match[1]?.replaceAll('""', '"') ?? match[2] ?? '', sha256: match[3] ?? '' }];
  });
}

async function sitePackages(env: string): Promise<string> {
  if (process.platform === 'win32') return join(env, 'Lib', 'site-packages');
  const lib = join(env, 'lib');
  const python = (await readdir(lib)).find((name) => name.startsWith('python3'));
  return join(lib, python ?? 'python3', 'site-packages');
}
