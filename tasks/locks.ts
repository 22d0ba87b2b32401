/**
 * The hash-pinned requirement locks that ship beside the wheel, and the build
 * constraint of its backend: exported from uv.lock, universal markers, sha256
 * for every file, no address of any index, no package of ours.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse as parseToml } from 'smol-toml';
import { uvExport } from './commands.ts';
import type { Context } from './context.ts';
import { sha256 } from './digest.ts';
import { BuildError } from './errors.ts';
import { PYTHON_PACKAGES, RUNTIME } from './identity.ts';
import type { Layout } from './layout.ts';
import { readSourceProjects, runtimeProject } from './pyproject.ts';
import { normalizedName } from './requirements.ts';
import { wheelSbom } from './sbom-wheel.ts';
import { perform, recall, type Step } from './step.ts';

export const LOCK_FILES = {
  core: 'requirements.lock.txt',
  'local-embeddings': 'requirements.local-embeddings.lock.txt',
} as const;

/** The bill of materials of the runtime wheel, made with the locks it lists. */
const LOCKS_SBOM = `${RUNTIME.distribution}.cdx.json`;

export type Feature = keyof typeof LOCK_FILES;

export const BUILD_CONSTRAINTS = 'build-constraints.txt';

const DAEMON = 'ktx-daemon';
const EXPORTS: readonly { file: string; selection: readonly string[] }[] = [
  { file: LOCK_FILES.core, selection: ['--package', DAEMON, '--no-dev'] },
  { file: LOCK_FILES['local-embeddings'], selection: ['--package', DAEMON, '--no-dev', '--extra', 'local-embeddings'] },
  { file: BUILD_CONSTRAINTS, selection: ['--only-group', 'build'] },
];

export interface LocksResult {
  /** Highest Python minor version, exclusive, for which every locked package has a wheel. */
  readonly pythonBelow: string;
}

export function locksStep({ at }: Pick<Context, 'at'>): Step<LocksResult> {
  return {
    name: 'locks',
    doing: 'exporting the requirement locks',
    output: at.built.locks,
    async prepare(context, scratch) {
      const tools = await context.toolchain();
      const uvLock = await readFile(at.uvLock, 'utf8').catch((cause) => {
        throw new BuildError('missing-source', 'uv.lock cannot be read', 'Restore it, or run `npm run lock`.', {
          cause,
        });
      });
      return {
        inputs: {
          'uv.lock': sha256(uvLock),
          'pyproject.toml': sha256(await readFile(at.workspacePyproject)),
          ...(await pyprojects(context)),
          'own code': await context.ownCode(),
          uv: tools.uv.version,
        },
        run: async () => {
          const out = join(scratch as string, 'locks');
          await mkdir(out);
          const where = { ambient: context.ambient, tools };
          const texts = await Promise.all(
            EXPORTS.map(async ({ file, selection }) => {
              const text = await context.run(uvExport(where, 'locks', selection, at.root));
              await writeFile(join(out, file), checkLock(text, file));
              return text;
            }),
          );
          const [core = '', embeddings = ''] = texts;
          const project = runtimeProject(await readSourceProjects(at), await context.identity());
          const bill = wheelSbom({ ...project, uvLock, locks: { core, 'local-embeddings': embeddings } });
          await writeFile(join(out, LOCKS_SBOM), bill);
          return {
            output: out,
            result: { pythonBelow: pythonBelow(uvLock, lockedNames(texts.slice(0, 2).join('\n'))) },
          };
        },
      };
    },
  };
}

export async function locks(context: Context): Promise<void> {
  await perform(context, locksStep(context));
}

/** The text of the bill of materials, as last made. */
export async function readLocksSbom(at: Layout): Promise<string> {
  return readFile(join(at.built.locks, LOCKS_SBOM), 'utf8').catch((cause) => {
    throw new BuildError('locks', 'the requirement locks are not exported yet', 'Run `gulp locks`.', { cause });
  });
}

/** The cap that the locks put on Python, from the last export. */
export async function lockedPython(context: Context): Promise<LocksResult> {
  const result = await recall(context, locksStep(context));
  if (!result) throw new Error('the locks were used before they were exported');
  return result;
}

async function pyprojects({ at }: Pick<Context, 'at'>): Promise<Record<string, string>> {
  const files = PYTHON_PACKAGES.map(({ root }) => `${root}/pyproject.toml`);
  return Object.fromEntries(
    await Promise.all(files.map(async (file) => [file, sha256(await readFile(join(at.root, file)))])),
  );
}

/** One requirement with its hashes, as `uv export` writes it. */
const PINNED =
  /^[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[\w,.-]+\])?==[^\s;]+(?: ; [^\\]+)?(?: \\\n {4}--hash=sha256:[0-9a-f]{64})+$/;

/** Refuse a lock that is not a list of pinned, hashed, third-party requirements. */
export function checkLock(text: string, file: string): string {
  const entries = text.trimEnd().split(/\n(?=\S)/);
  const ours = new Set([RUNTIME.distribution, ...PYTHON_PACKAGES.map(({ name }) => name)].map(normalizedName));
  const bad = entries.find((entry) => !PINNED.test(entry) || ours.has(normalizedName(entry.split(/[=[ ]/)[0] ?? '')));
  if (bad !== undefined) {
    throw new BuildError(
      'lock',
      `${file} holds a line that is no pinned, hashed requirement of a third party: ${bad.split('\n')[0]}`,
      'Run `npm run lock`; addresses, paths and unhashed packages cannot ship.',
    );
  }
  return text;
}

/** Normalised names of the packages in the text of a lock. */
export function lockedNames(text: string): Set<string> {
  return new Set(
    [...text.matchAll(/^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==/gm)].map(([, name]) =>
      normalizedName(name as string),
    ),
  );
}

interface LockedPackage {
  readonly name: string;
  readonly wheels?: readonly { readonly filename?: string; readonly url?: string }[];
}

/**
 * The first Python 3 minor version, as `3.N`, for which some locked package has
 * no wheel: newer interpreters would have to compile. Pure (`none-any`) and
 * stable-ABI (`abi3`) wheels fit every version. Reads the tags of PEP 427 names.
 */
export function pythonBelow(uvLock: string, names: ReadonlySet<string>): string {
  const { package: packages = [] } = parseToml(uvLock) as { package?: LockedPackage[] };
  let highest = Number.POSITIVE_INFINITY;
  for (const { name, wheels = [] } of packages) {
    if (!names.has(normalizedName(name))) continue;
    const tags = wheels.map(({ filename, url }) =>
      (filename ?? url ?? '')
        .replace(/\.whl$/, '')
        .split('-')
        .slice(-3),
    );
    const minors = tags.map(([python = '', abi = '', platform = '']) =>
      abi === 'abi3' || (abi === 'none' && (platform === 'any' || python.startsWith('py3')))
        ? Number.POSITIVE_INFINITY
        : Math.max(0, ...[...python.matchAll(/cp3(\d+)/g)].map(([, minor]) => Number(minor))),
    );
    if (minors.length > 0) highest = Math.min(highest, Math.max(...minors));
  }
  return highest === Number.POSITIVE_INFINITY ? '' : `3.${highest + 1}`;
}
