/**
 * The pyproject.toml and README of the runtime wheel, derived from the two
 * source packages. Nothing in them is typed twice, dated or machine-dependent,
 * so equal sources give equal text.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse as parseToml } from 'smol-toml';
import { BuildError } from './errors.ts';
import { type Identity, PYTHON_PACKAGES, RUNTIME } from './identity.ts';
import type { Layout } from './layout.ts';
import {
  formatRequirement,
  formatSpecifiers,
  mergeRequirements,
  normalizedName,
  parseRequirement,
  type Requirement,
} from './requirements.ts';

/** What the wheel needs to know of one source pyproject.toml. */
export interface SourceProject {
  readonly file: string;
  readonly module: string;
  readonly requiresPython: string;
  readonly dependencies: readonly string[];
  readonly extras: Readonly<Record<string, readonly string[]>>;
  readonly scripts: Readonly<Record<string, string>>;
  readonly urls: Readonly<Record<string, string>>;
  readonly licence: string;
  readonly build: readonly string[];
  /** Globs of the data files that may enter the wheel beside Python sources. */
  readonly packageData: readonly string[];
  /** Modules that the package imports by a name computed at run time, which no scan can see. */
  readonly dynamicImports: readonly string[];
}

/** The metadata of the runtime wheel, as generated and as later checked against METADATA. */
export interface RuntimeProject {
  readonly version: string;
  readonly requiresPython: string;
  readonly licence: string;
  readonly dependencies: readonly string[];
  readonly extras: Readonly<Record<string, readonly string[]>>;
  readonly scripts: Readonly<Record<string, string>>;
  readonly urls: Readonly<Record<string, string>>;
  readonly build: readonly string[];
  readonly modules: readonly string[];
  readonly dynamicImports: readonly string[];
}

/** The bill of materials in the staging tree; the wheel holds it as PEP 770 says, in dist-info. */
export const SBOM_PATH = `sboms/${RUNTIME.distribution}.cdx.json`;

/** Reached only through this extra: together they weigh gigabytes. */
const HEAVY = ['sentence-transformers', 'torch'];
const HEAVY_EXTRA = 'local-embeddings';

/** Read the pyproject of every Python package, in the order of the package data. */
export async function readSourceProjects(at: Layout): Promise<SourceProject[]> {
  return Promise.all(
    PYTHON_PACKAGES.map(async ({ root, module }) => {
      const file = `${root}/pyproject.toml`;
      try {
        return sourceProject(await readFile(join(at.root, file), 'utf8'), file, module);
      } catch (cause) {
        if (cause instanceof BuildError) throw cause;
        throw new BuildError('pyproject', `${file} cannot be read: ${(cause as Error).message}`, 'Mend that file.', {
          cause,
        });
      }
    }),
  );
}

/** One source pyproject from its text; `file` is named in every message. */
export function sourceProject(text: string, file: string, module: string): SourceProject {
  const toml = parseToml(text) as {
    project?: Record<string, unknown>;
    'build-system'?: { requires?: unknown };
    tool?: { ktx?: { 'package-data'?: unknown; 'dynamic-imports'?: unknown } };
  };
  const project = toml.project ?? {};
  if (typeof project['requires-python'] !== 'string') {
    throw new BuildError(
      'pyproject',
      `${file} has no project.requires-python`,
      'State the Python versions it runs on.',
    );
  }
  return {
    file,
    module,
    requiresPython: project['requires-python'],
    dependencies: strings(project.dependencies, `project.dependencies in ${file}`),
    extras: table(project['optional-dependencies'], (value, key) =>
      strings(value, `project.optional-dependencies.${key} in ${file}`),
    ),
    scripts: table(project.scripts, String),
    urls: table(project.urls, String),
    licence: typeof project.license === 'string' ? project.license : '',
    build: strings(toml['build-system']?.requires, `build-system.requires in ${file}`),
    dynamicImports: strings(toml.tool?.ktx?.['dynamic-imports'], `tool.ktx.dynamic-imports in ${file}`),
    packageData: strings(toml.tool?.ktx?.['package-data'], `tool.ktx.package-data in ${file}`),
  };
}

/** The union of the sources, as the runtime wheel declares it. */
export function runtimeProject(sources: readonly SourceProject[], identity: Identity): RuntimeProject {
  const members = new Set(PYTHON_PACKAGES.map(({ name }) => normalizedName(name)));
  const union = (pick: (source: SourceProject) => readonly string[]): Requirement[] =>
    mergeRequirements(
      sources
        .flatMap((source) => pick(source).map((text) => parseRequirement(text, source.file)))
        .filter(({ name }) => !members.has(name)),
    );
  const defaults = union((source) => source.dependencies);
  const extraNames = [...new Set(sources.flatMap(({ extras }) => Object.keys(extras)))].sort();
  const extras = Object.fromEntries(extraNames.map((extra) => [extra, union((source) => source.extras[extra] ?? [])]));
  refuseHeavy(defaults, 'project.dependencies');
  for (const [extra, requirements] of Object.entries(extras)) {
    if (extra !== HEAVY_EXTRA) refuseHeavy(requirements, `project.optional-dependencies.${extra}`);
    mergeRequirements([...defaults, ...requirements]); // an extra may not contradict the defaults
  }
  const owner = sources.find(({ scripts }) => RUNTIME.script in scripts);
  if (owner?.scripts[RUNTIME.script] !== RUNTIME.entryPoint) {
    throw new BuildError(
      'entry-point',
      `no source pyproject declares the console script ${RUNTIME.script} = "${RUNTIME.entryPoint}"`,
      `Declare it under [project.scripts] in ${PYTHON_PACKAGES[1]?.root}/pyproject.toml.`,
    );
  }
  return {
    version: identity.pythonVersion,
    requiresPython: intersectPython(sources),
    licence: owner.licence,
    dependencies: defaults.map(formatRequirement),
    extras: Object.fromEntries(Object.entries(extras).map(([name, list]) => [name, list.map(formatRequirement)])),
    scripts: { [RUNTIME.script]: RUNTIME.entryPoint },
    urls: owner.urls,
    build: oneBackend(sources),
    modules: sources.map(({ module }) => module).sort(reverseOrder),
    dynamicImports: sources.flatMap(({ dynamicImports }) => dynamicImports).sort(),
  };
}

/** `semantic_layer` before `ktx_daemon`: the engine does not need the daemon. */
function reverseOrder(a: string, b: string): number {
  return a < b ? 1 : -1;
}

function refuseHeavy(requirements: readonly Requirement[], where: string): void {
  const heavy = requirements.find(({ name }) => HEAVY.includes(name));
  if (heavy) {
    throw new BuildError(
      'heavy-dependency',
      `${heavy.name} stands under ${where} in ${heavy.from}`,
      `Move it to project.optional-dependencies.${HEAVY_EXTRA}: it may be reached only through that extra.`,
    );
  }
}

function intersectPython(sources: readonly SourceProject[]): string {
  const [merged] = mergeRequirements(
    sources.map(({ requiresPython, file }) => parseRequirement(`python${requiresPython}`, file)),
  );
  return formatSpecifiers((merged as Requirement).specifiers);
}

function oneBackend(sources: readonly SourceProject[]): readonly string[] {
  const [first, ...rest] = sources;
  for (const other of rest) {
    if (other.build.join() !== first?.build.join()) {
      throw new BuildError(
        'build-backend',
        `build-system.requires differs: ${first?.build.join(', ')} in ${first?.file}, ${other.build.join(', ')} in ${other.file}`,
        'Pin the same backend in both.',
      );
    }
  }
  const loose = first?.build.find((text) => parseRequirement(text, first.file).specifiers[0]?.operator !== '==');
  if (!first || first.build.length === 0 || loose !== undefined) {
    throw new BuildError(
      'build-backend',
      `build-system.requires in ${first?.file} does not pin the backend (${loose ?? 'nothing is listed'})`,
      'Write hatchling==X.Y.Z: its version is in the bytes of the wheel.',
    );
  }
  return first.build;
}

/** The generated pyproject.toml: sorted, LF, final newline, no date, no path. */
export function pyprojectText(project: RuntimeProject): string {
  const extras = Object.entries(project.extras).flatMap(([name, list]) => array(name, list));
  const urls = Object.entries(project.urls).map(([name, url]) => `${quote(name)} = ${quote(url)}`);
  return lines(
    `# Generated from ${PYTHON_PACKAGES.map(({ root }) => `${root}/pyproject.toml`).join(' and ')}.`,
    '',
    '[build-system]',
    `requires = [${project.build.map(quote).join(', ')}]`,
    'build-backend = "hatchling.build"',
    '',
    '[project]',
    `name = ${quote(RUNTIME.distribution)}`,
    `version = ${quote(project.version)}`,
    'description = "The Python runtime of the npm package @kaelio/ktx"',
    'readme = "README.md"',
    `requires-python = ${quote(project.requiresPython)}`,
    `license = ${quote(project.licence)}`,
    'license-files = ["LICENSE"]',
    '# It ships inside the npm package; an index refuses any upload that says so.',
    'classifiers = ["Private :: Do Not Upload"]',
    ...array('dependencies', project.dependencies),
    ...section('project.optional-dependencies', extras),
    ...section(
      'project.scripts',
      Object.entries(project.scripts).map(([name, target]) => `${quote(name)} = ${quote(target)}`),
    ),
    ...section('project.urls', urls),
    '',
    '[tool.hatch.build]',
    '# Ignore rules of the parent folders must not decide what enters the wheel.',
    'ignore-vcs = true',
    '',
    '[tool.hatch.build.targets.wheel]',
    ...array('packages', project.modules),
    'core-metadata-version = "2.4"',
    `sbom-files = [${quote(SBOM_PATH)}]`,
  );
}

/** The README that becomes the long description of the wheel. */
export function readmeText(project: RuntimeProject): string {
  return lines(
    `# ${RUNTIME.distribution}`,
    '',
    `The runtime of the npm package \`@kaelio/ktx\`, version ${project.version}: the import packages`,
    `${project.modules.map((name) => `\`${name}\``).join(' and ')}, and the command \`${RUNTIME.script}\`.`,
    'The `ktx` command line installs it from the package it ships in; it is on no index.',
  );
}

function section(title: string, body: readonly string[]): string[] {
  return body.length > 0 ? ['', `[${title}]`, ...body] : [];
}

function array(key: string, values: readonly string[]): string[] {
  return values.length > 0 ? [`${key} = [`, ...values.map((value) => `  ${quote(value)},`), ']'] : [`${key} = []`];
}

/** A TOML basic string; JSON escapes are a subset of TOML's. */
function quote(text: string): string {
  return JSON.stringify(text);
}

function lines(...text: readonly string[]): string {
  return `${text.join('\n')}\n`;
}

function strings(value: unknown, where: string): string[] {
  if (value === undefined) return [];
  if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return value;
  throw new BuildError('pyproject', `${where} is not a list of strings`, 'Write it as ["…", "…"].');
}

function table<T>(value: unknown, read: (value: unknown, key: string) => T): Record<string, T> {
  const entries = Object.entries((value ?? {}) as Record<string, unknown>);
  return Object.fromEntries(entries.map(([key, one]) => [key, read(one, key)]));
}
