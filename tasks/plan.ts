/**
 * `gulp plan`: what `artifacts` would build, from what, with which commands, and
 * which steps would run. Reads; writes and starts nothing.
 */
import { join } from 'node:path';
import { assetsStep, buildInfoStep } from './assets.ts';
import { bundleStep } from './bundles.ts';
import { bundle, npmPack, uvBuild, uvExport } from './commands.ts';
import type { Context } from './context.ts';
import { distFiles, distsStep } from './dists.ts';
import { CARRIER, NPM_PACKAGES, PYTHON_PACKAGES } from './identity.ts';
import { importsStep } from './imports.ts';
import { BUILD_CONSTRAINTS, locksStep } from './locks.ts';
import { packStep, tarballFile } from './pack.ts';
import { PROVENANCE_FILE } from './provenance.ts';
import { releaseStep } from './release.ts';
import { commandLine } from './run.ts';
import { stageStep } from './stage.ts';
import { foresee, type Inputs, type Step } from './step.ts';
import { wheelStep } from './wheel.ts';

export interface Plan {
  readonly version: string;
  readonly pythonVersion: string;
  readonly sourceRevision: string | null;
  readonly tools: Readonly<Record<string, string>>;
  readonly artifacts: readonly string[];
  readonly steps: readonly PlannedStep[];
}

export interface PlannedStep {
  readonly step: string;
  /** Null when only the steps before it can tell. */
  readonly runs: boolean | null;
  readonly because: string;
  readonly inputs: Inputs;
  readonly commands: readonly string[];
}

export async function makePlan(context: Context): Promise<Plan> {
  const { version, pythonVersion, wheelFile } = await context.identity();
  const tools = await context.toolchain();
  const commands = await plannedCommands(context);
  const steps: PlannedStep[] = [];
  for (const { step, after } of allSteps(context)) {
    const open = after.find((name) => steps.find((one) => one.step === name)?.runs !== false);
    const planned = open
      ? { runs: null, because: `depends on what ${open} makes`, inputs: {} }
      : await foresee(context, step);
    const { runs, because, inputs } = planned;
    steps.push({ step: step.name, runs, because, inputs, commands: commands[step.name] ?? [] });
  }
  return {
    version,
    pythonVersion,
    sourceRevision: (await context.revision()).id,
    tools: { node: tools.node.version, npm: tools.npmVersion, uv: tools.uv.version, python: tools.python.version },
    artifacts: [
      ...NPM_PACKAGES.map((one) => `npm/${tarballFile(one, version)}`),
      ...[...PYTHON_PACKAGES.flatMap((one) => distFiles(one, pythonVersion)), wheelFile].map(
        (file) => `python/${file}`,
      ),
      'manifest.json',
      PROVENANCE_FILE,
    ].sort(),
    steps,
  };
}

/** The plan for people: what comes out, then one line a step with its commands below. */
export function planText(plan: Plan): string {
  const tools = Object.entries(plan.tools).map(([name, version]) => `${name} ${version}`);
  const mark = (runs: boolean | null) => (runs === null ? 'maybe' : runs ? 'run' : 'keep');
  return [
    `version ${plan.version} (Python ${plan.pythonVersion}), revision ${plan.sourceRevision ?? 'none'}`,
    `with ${tools.join(', ')}`,
    '',
    'makes in dist/artifacts',
    ...plan.artifacts.map((path) => `  ${path}`),
    '',
    'steps',
    ...plan.steps.flatMap(({ step, runs, because, commands }) => [
      `  ${mark(runs).padEnd(6)} ${step.padEnd(18)} ${because}`,
      ...commands.map((command) => `           $ ${command}`),
    ]),
    '',
  ].join('\n');
}

export async function plan(context: Context): Promise<void> {
  const made = await makePlan(context);
  process.stdout.write(context.flags.json ? `${JSON.stringify(made, null, 2)}\n` : planText(made));
}

function allSteps(context: Context): { step: Step<unknown>; after: readonly string[] }[] {
  const dists = PYTHON_PACKAGES.map((one) => ({ step: distsStep(context, one), after: ['locks'] }));
  const bundled = NPM_PACKAGES.map((one) => ({ step: bundleStep(context, one), after: [] }));
  const packed = NPM_PACKAGES.map((one) => ({
    step: packStep(context, one),
    after: one === CARRIER ? ['bundle-cli', 'assets', 'build-info'] : [`bundle-${one.folder}`],
  }));
  return [
    { step: locksStep(context), after: [] },
    { step: stageStep(context), after: ['locks'] },
    { step: importsStep(context), after: ['stage'] },
    { step: wheelStep(context), after: ['stage', 'locks'] },
    ...dists,
    ...bundled,
    { step: assetsStep(context), after: ['wheel', 'locks'] },
    { step: buildInfoStep(context), after: ['assets', 'bundle-cli'] },
    ...packed,
    { step: releaseStep(context), after: [...dists, ...packed].map(({ step }) => step.name) },
  ];
}

async function plannedCommands(context: Context): Promise<Record<string, readonly string[]>> {
  const { at, ambient } = context;
  const where = { ambient, tools: await context.toolchain() };
  const constraints = join(at.built.locks, BUILD_CONSTRAINTS);
  const show = (plan: Parameters<typeof commandLine>[0]) => commandLine(plan).replaceAll(`${at.root}/`, '');
  const beside = join(at.work, 'beside');
  return {
    locks: [show(uvExport(where, 'locks', ['--package', 'ktx-daemon', '--no-dev'], at.root))],
    wheel: [show(uvBuild(where, 'wheel', ['wheel'], at.staging, beside, constraints))],
    ...Object.fromEntries(
      PYTHON_PACKAGES.map(({ name, root }) => [
        `dists-${name}`,
        [show(uvBuild(where, name, ['sdist', 'wheel'], root, beside, constraints))],
      ]),
    ),
    ...Object.fromEntries(
      NPM_PACKAGES.flatMap(({ folder, name, root }) => [
        [`bundle-${folder}`, [show(bundle(where, name, root, beside))]],
        [`pack-${folder}`, [show(npmPack(where, name, root, beside, beside))]],
      ]),
    ),
  };
}
