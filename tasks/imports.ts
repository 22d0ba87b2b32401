/**
 * The import scan: what the staged sources import is what the wheel declares.
 *
 * Every third-party import is covered by a declared dependency, an extra's only
 * where the import is lazy, and no default dependency is declared in vain.
 */
import { readFile } from 'node:fs/promises';
import { importScan } from './commands.ts';
import type { Context } from './context.ts';
import { hashFile, sha256 } from './digest.ts';
import { BuildError } from './errors.ts';
import { RUNTIME } from './identity.ts';
import type { RuntimeProject } from './pyproject.ts';
import { normalizedName, parseRequirement } from './requirements.ts';
import { staged } from './stage.ts';
import { perform, type Step } from './step.ts';

export interface Scan {
  readonly files: number;
  readonly errors: readonly { path: string; line: number; message: string }[];
  readonly thirdParty: readonly ThirdParty[];
  /** Whether the console script's function exists. */
  readonly entryPoint: boolean;
}

interface ThirdParty {
  readonly module: string;
  readonly path: string;
  readonly line: number;
  /** Every import of it stands in a function or behind a guard. */
  readonly lazy: boolean;
  /** Installed distributions that provide it; empty for one that only an extra brings. */
  readonly distributions: readonly string[];
}

export function importsStep({ at }: Pick<Context, 'at'>): Step<null> {
  return {
    name: 'imports',
    doing: 'scanning imports',
    async prepare(context) {
      const { digest, project } = await staged(context);
      const { python } = await context.toolchain();
      return {
        inputs: {
          'staged tree': digest,
          'scan program': await hashFile(at.importScan),
          'own code': await context.ownCode(),
          lock: sha256(await readFile(at.uvLock)),
          python: python.version,
        },
        run: async () => {
          const printed = await context.run(importScan(context.ambient, at, project.modules));
          checkScan(JSON.parse(printed) as Scan, project);
          return { result: null };
        },
      };
    },
  };
}

export async function imports(context: Context): Promise<void> {
  await perform(context, importsStep(context));
}

/** Refuse what the scan found wrong, all of it in one message. */
export function checkScan(
  scan: Scan,
  project: Pick<RuntimeProject, 'dependencies' | 'extras' | 'dynamicImports'>,
): void {
  const problems = scan.errors.map(({ path, line, message }) => `${path}:${line} ${message}`);
  if (!scan.entryPoint) {
    problems.push(`${RUNTIME.entryPoint}, the target of the console script ${RUNTIME.script}, is not defined`);
  }
  const defaults = names(project.dependencies);
  const extras = new Set(Object.values(project.extras).flatMap((list) => [...names(list)]));
  const used = new Set(project.dynamicImports.map(normalizedName));
  for (const one of scan.thirdParty) {
    const providers = one.distributions.length > 0 ? one.distributions : [one.module];
    const declared = providers.map(normalizedName).find((name) => defaults.has(name) || extras.has(name));
    const where = `${one.path}:${one.line} imports ${one.module}`;
    if (!declared) problems.push(`${where}, which no source pyproject declares (${providers.join(' or ')})`);
    else if (!defaults.has(declared) && !one.lazy) {
      problems.push(`${where} at import time, but ${declared} is only an extra: import it inside a function`);
    }
    for (const name of providers) used.add(normalizedName(name));
  }
  for (const name of defaults) {
    if (!used.has(name)) problems.push(`${name} is declared as a dependency, but nothing imports it`);
  }
  if (problems.length > 0) {
    throw new BuildError(
      'imports',
      `the Python sources and their declared dependencies disagree:\n${problems.map((one) => `    ${one}`).join('\n')}`,
      'Change the source named, or the dependencies in its pyproject.toml.',
    );
  }
}

function names(requirements: readonly string[]): Set<string> {
  return new Set(requirements.map((text) => parseRequirement(text, 'pyproject.toml').name));
}
