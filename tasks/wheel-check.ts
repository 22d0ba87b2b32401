/**
 * A built wheel held against what was streamed: the member set is the staged
 * set plus dist-info, every RECORD line is right, METADATA says what was
 * generated. A backend that adds, drops or alters one byte is caught here.
 *
 * Formats: packaging.python.org, "Binary distribution format", "Recording
 * installed projects" and "Core metadata".
 */
import { createHash } from 'node:crypto';
import type { Members } from './archives.ts';
import { sha256 } from './digest.ts';
import { BuildError } from './errors.ts';
import { RUNTIME } from './identity.ts';
import type { Ledger } from './ledger.ts';
import { type RuntimeProject, SBOM_PATH } from './pyproject.ts';
import { formatRequirement, formatSpecifiers, normalizedName, parseRequirement } from './requirements.ts';

/** Files at the root of the staging tree that the build reads but the wheel does not hold. */
const BUILD_ONLY = ['pyproject.toml', 'README.md'];

/** Refuse a wheel that is not exactly the staged tree and its metadata. */
export function checkWheel(file: string, members: Members, ledger: Ledger, project: RuntimeProject): void {
  const info = `${RUNTIME.normalized}-${project.version}.dist-info`;
  const problems = [
    ...memberProblems(members, ledger, info),
    ...recordProblems(members, info),
    ...metadataProblems(text(members, `${info}/METADATA`), project),
    ...entryPointProblems(text(members, `${info}/entry_points.txt`), project),
  ];
  if (problems.length > 0) {
    throw new BuildError(
      'wheel',
      `${file} is not what was staged:\n${problems.map((one) => `    ${one}`).join('\n')}`,
      'The build backend changed something. Check its pin, then run `gulp wheel --force`.',
    );
  }
}

export function memberProblems(members: Members, ledger: Ledger, info: string): string[] {
  const expected = new Map(
    [...ledger]
      .filter(([path]) => !BUILD_ONLY.includes(path))
      .map(([path, entry]) => [placeInWheel(path, info), entry]),
  );
  const problems: string[] = [];
  for (const [path, { bytes, sha256: digest }] of expected) {
    const member = members.get(path);
    if (!member) problems.push(`${path} is missing`);
    else if (member.length !== bytes) problems.push(`${path} has ${member.length} bytes, staged were ${bytes}`);
    else if (sha256(member) !== digest) problems.push(`${path} has other content than was staged`);
  }
  const generated = ['METADATA', 'WHEEL', 'RECORD', 'entry_points.txt'].map((name) => `${info}/${name}`);
  for (const path of members.keys()) {
    if (!expected.has(path) && !generated.includes(path)) problems.push(`${path} was not staged`);
  }
  return problems;
}

/** Licences (PEP 639) and bills of materials (PEP 770) move into dist-info. */
function placeInWheel(path: string, info: string): string {
  if (path === 'LICENSE') return `${info}/licenses/LICENSE`;
  return path === SBOM_PATH ? `${info}/${path}` : path;
}

/** Every member but RECORD itself has one line with its sha256 and size. */
export function recordProblems(members: Members, info: string): string[] {
  const name = `${info}/RECORD`;
  const lines = text(members, name)
    .split('\n')
    .filter((line) => line !== '');
  const seen = new Set<string>();
  const problems: string[] = [];
  for (const line of lines) {
    const [path, hash, size] = fields(line);
    const member = members.get(path);
    if (seen.has(path)) problems.push(`RECORD lists ${path} twice`);
    seen.add(path);
    if (path === name) {
      if (hash || size) problems.push('RECORD states a hash of itself');
    } else if (!member) problems.push(`RECORD lists ${path}, which is not there`);
    else {
      const digest = createHash('sha256').update(member).digest('base64url');
      if (hash !== `sha256=${digest}`) problems.push(`RECORD has a wrong hash for ${path}`);
      if (size !== String(member.length)) problems.push(`RECORD has a wrong size for ${path}`);
    }
  }
  for (const path of members.keys()) if (!seen.has(path)) problems.push(`RECORD does not list ${path}`);
  return problems;
}

/** A line of RECORD is CSV: a path with a comma or quote is quoted. */
function fields(line: string): [string, string, string] {
  const match = /^(?:"((?:[^"]|"")*)"|([^,]*)),([^,]*),([^,]*)\r?$/.exec(line);
  if (!match) return [line, '', ''];
  return [match[1]?.replaceAll('""', '"') ?? match[2] ?? '', match[3] ?? '', match[4] ?? ''];
}

export function metadataProblems(metadata: string, project: RuntimeProject): string[] {
  const headers = (metadata.split('\n\n', 1)[0] ?? '').replaceAll(/\n[ \t]+/g, ' ').split('\n');
  const all = (name: string) =>
    headers.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2));
  const requirements = [
    ...project.dependencies.map((one) => canonical(one)),
    ...Object.entries(project.extras).flatMap(([extra, list]) => list.map((one) => canonical(one, extra))),
  ];
  const wanted: [string, readonly string[], readonly string[]][] = [
    ['Name', all('Name'), [RUNTIME.distribution]],
    ['Version', all('Version'), [project.version]],
    ['Requires-Python', all('Requires-Python').map(specifiers), [specifiers(project.requiresPython)]],
    [
      'Requires-Dist',
      all('Requires-Dist')
        .map((one) => canonical(one))
        .sort(),
      requirements.sort(),
    ],
    ['Provides-Extra', all('Provides-Extra').sort(), Object.keys(project.extras).map(normalizedName).sort()],
    ['License-Expression', all('License-Expression'), [project.licence]],
    ['License-File', all('License-File'), ['LICENSE']],
  ];
  return wanted.flatMap(([name, found, expected]) =>
    found.join('\n') === expected.join('\n')
      ? []
      : [`METADATA has ${name} ${found.join(', ') || 'nowhere'}, generated was ${expected.join(', ')}`],
  );
}

function entryPointProblems(entryPoints: string, project: RuntimeProject): string[] {
  const expected = [
    '[console_scripts]',
    ...Object.entries(project.scripts).map(([name, target]) => `${name} = ${target}`),
  ];
  const found = entryPoints
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  return found.join('\n') === expected.join('\n') ? [] : [`entry_points.txt says ${found.join('; ') || 'nothing'}`];
}

/** One spelling of a requirement, with its extra as the last part of the marker. */
function canonical(text: string, extra?: string): string {
  const requirement = parseRequirement(text, 'METADATA');
  const marker = requirement.marker.replaceAll("'", '"').replace(/\((.*)\)( and extra)/, '$1$2');
  const own = extra ? `extra == "${normalizedName(extra)}"` : '';
  return formatRequirement({ ...requirement, marker: [marker, own].filter((part) => part !== '').join(' and ') });
}

function specifiers(range: string): string {
  return formatSpecifiers(parseRequirement(`python${range}`, 'METADATA').specifiers);
}

function text(members: Members, path: string): string {
  return members.get(path)?.toString('utf8') ?? '';
}
