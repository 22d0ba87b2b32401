/**
 * `gulp publish`: send the tarball that was verified, and nothing else.
 *
 * A dry run unless `--yes` is given: it prints the exact arguments, what would be
 * sent, and which guards would block. What is published is a copy whose digest
 * was taken after copying; it is fetched back and must have that digest.
 */
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { readTarball } from './archives.ts';
import type { Context } from './context.ts';
import { hashFile } from './digest.ts';
import { BuildError } from './errors.ts';
import { CARRIER } from './identity.ts';
import type { ArtifactEntry } from './manifest.ts';
import { readPolicy } from './policy.ts';
import type { Policy } from './policy-schema.ts';
import { blocking, type Guard, guards, type PublishFacts } from './publish-guards.ts';
import {
  fetchPublished,
  npmCommand,
  openRegistry,
  publishArguments,
  publishedVersions,
  type Registry,
} from './registry.ts';
import { openRelease } from './release-check.ts';
import { commandLine, run } from './run.ts';
import { prettyJson } from './strict-json.ts';
import { readVerified } from './verified.ts';

/** What would be sent, where and how. */
export interface PublishPlan {
  readonly package: string;
  readonly version: string;
  readonly registry: string | null;
  /** Everything after `npm`. */
  readonly arguments: readonly string[];
  readonly sends: {
    readonly file: string;
    readonly bytes: number;
    readonly sha256: string;
    readonly members: readonly string[];
  };
  readonly guards: readonly Guard[];
}

export async function publish(context: Context): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), 'ktx-publish-'));
  try {
    const { facts, plan, copy, registry } = await prepare(context, scratch);
    if (!facts.confirmed || context.flags.json) {
      process.stdout.write(context.flags.json ? prettyJson(plan) : planText(plan));
    }
    if (!facts.confirmed) return;
    refuse(blocking(facts));
    if (!registry) throw new Error('a guard let pass without a registry');
    await send(context, registry, copy, plan);
    context.log.say(`published ${plan.package} ${plan.version} to ${registry.url}, and fetched the same bytes back`);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

interface Prepared {
  readonly facts: PublishFacts;
  readonly plan: PublishPlan;
  /** The tarball that is hashed and sent. */
  readonly copy: string;
  readonly registry: Registry | undefined;
}

async function prepare(context: Context, scratch: string): Promise<Prepared> {
  const { at, ambient, flags } = context;
  const policy = await readPolicy(at);
  const { version } = await context.identity();
  const release = await openRelease(at.release);
  const entry = carried(release.manifest.files);
  const copy = join(scratch, basename(entry.path));
  await copyFile(join(at.release, entry.path), copy);
  const members = await readTarball(copy);
  const { registry: url } = policy.npm;
  const registry = url === null ? undefined : await openRegistry(context, url, join(scratch, 'npm'));
  const carrier = release.manifest.packages.find(({ packageName }) => packageName === CARRIER.name);
  const facts: PublishFacts = {
    confirmed: flags.yes,
    policy,
    publicPackage: CARRIER.name,
    version,
    revision: await context.revision(),
    expectedRevision: ambient.KTX_EXPECTED_SOURCE_REVISION || undefined,
    release: {
      manifestSha256: await hashFile(join(at.release, 'manifest.json')),
      sourceRevision: release.manifest.sourceRevision,
      sourceDirty: release.manifest.sourceDirty,
      releaseMode: carrier?.releaseMode ?? 'unknown',
    },
    tarball: {
      path: entry.path,
      ecosystem: entry.ecosystem,
      listedSha256: entry.sha256,
      sha256: await hashFile(copy),
      packageJson: JSON.parse(members.get('package/package.json')?.toString('utf8') ?? '{}'),
    },
    verifiedManifest: await readVerified(at),
    published: registry && (await askedVersions(context, registry)),
  };
  const plan = publishPlan(facts, entry, [...members.keys()], policy);
  return { facts, plan, copy, registry };
}

function carried(files: readonly ArtifactEntry[]): ArtifactEntry {
  const entry = files.find(
    ({ packageName, artifactKind }) => packageName === CARRIER.name && artifactKind === 'tarball',
  );
  if (entry) return entry;
  throw new BuildError('publish', `the release folder holds no tarball of ${CARRIER.name}`, 'Run: gulp artifacts');
}

/** Undefined when the registry does not answer: a guard says so. */
async function askedVersions(context: Context, registry: Registry): Promise<readonly string[] | undefined> {
  try {
    return await publishedVersions(quietly(context), registry, CARRIER.name);
  } catch (error) {
    if (error instanceof BuildError) return undefined;
    throw error;
  }
}

function publishPlan(
  facts: PublishFacts,
  entry: ArtifactEntry,
  members: readonly string[],
  { npm }: Policy,
): PublishPlan {
  return {
    package: CARRIER.name,
    version: facts.version,
    registry: npm.registry,
    arguments: publishArguments(basename(entry.path), CARRIER.name, npm),
    sends: { file: entry.path, bytes: entry.bytes, sha256: facts.tarball.sha256, members },
    guards: guards(facts),
  };
}

/** The dry run, for people. */
export function planText({
  package: name,
  version,
  registry,
  arguments: args,
  sends,
  guards: asked,
}: PublishPlan): string {
  const blocked = asked.filter(({ problem }) => problem !== undefined);
  return [
    `${name} ${version} to ${registry ?? 'no registry (the policy names none)'}`,
    `  ${commandLine({ command: 'npm', args })}`,
    `  sends ${sends.file}: ${sends.bytes} bytes, ${sends.members.length} files, sha256 ${sends.sha256}`,
    ...asked.filter(({ problem }) => problem === undefined).map(({ name: guard }) => `  passes   ${guard}`),
    ...blocked.flatMap(({ name: guard, problem, todo }) => [`  blocks   ${guard}: ${problem}`, `             ${todo}`]),
    '',
  ].join('\n');
}

function refuse(blocked: readonly Guard[]): void {
  if (blocked.length === 0) return;
  const lines = blocked.map(({ name, problem, todo }) => `\n    ${name}: ${problem}\n      ${todo}`);
  throw new BuildError(
    'publish',
    `nothing was published:${lines.join('')}`,
    'See it all without publishing: gulp publish',
  );
}

/** Publish the copy, fetch it back, and demand the same bytes. */
export async function send(
  context: Pick<Context, 'run' | 'log' | 'signal'>,
  registry: Registry,
  copy: string,
  plan: Pick<PublishPlan, 'package' | 'version' | 'arguments' | 'sends'>,
): Promise<void> {
  const [verb = '', , ...rest] = plan.arguments;
  await context.run({
    ...npmCommand(registry, 'npm publish', [verb, copy, ...rest]),
    hint: 'Nothing was published. Check the account: NODE_AUTH_TOKEN, or `npm login` for this registry.',
  });
  const back = await fetchPublished(quietly(context), registry, plan.package, plan.version);
  const sha256 = await hashFile(back);
  if (sha256 !== plan.sends.sha256) {
    throw new BuildError(
      'publish',
      `${registry.url} gives back ${plan.package} ${plan.version} with the sha256 ${sha256}, sent was ${plan.sends.sha256}`,
      'Deprecate that version and ask who keeps the registry; do not announce it.',
    );
  }
}

/** Children whose output is an answer, or a failure that is spelled out by us. */
export function quietly({ log, signal }: Pick<Context, 'log' | 'signal'>): Context['run'] {
  return (command) => run(command, { log: { ...log, child: async () => {} }, signal });
}
