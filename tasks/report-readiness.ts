/**
 * `gulp readiness`: gather what is built, verified and decided, and report it.
 * The exit code follows the current mode.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from './context.ts';
import { sha256 } from './digest.ts';
import { BuildError } from './errors.ts';
import { CARRIER } from './identity.ts';
import { parseArtifactManifest } from './manifest.ts';
import { policyFacts, readPolicyText } from './policy.ts';
import { type ReadinessFacts, type ReleaseFacts, readiness, readinessText } from './readiness.ts';
import { headCommit } from './revision.ts';
import { prettyJson } from './strict-json.ts';
import { readVerified } from './verified.ts';

export async function reportReadiness(context: Context): Promise<void> {
  const report = readiness(await readinessFacts(context));
  process.stdout.write(context.flags.json ? prettyJson(report) : readinessText(report));
  if (report.ready) return;
  const open = report.current.requirements.filter(({ state }) => state === 'blocked').length;
  throw new BuildError(
    'not-ready',
    `release mode ${report.mode ?? 'unknown'} is blocked by ${open} requirement${open === 1 ? '' : 's'}`,
    'The report above says what to do about each.',
  );
}

export async function readinessFacts({ at, ambient, identity }: Context): Promise<ReadinessFacts> {
  const { version } = await identity();
  return {
    policyText: await readPolicyText(at),
    policyFacts: policyFacts(version),
    revision: ambient.GITHUB_SHA || (await headCommit(at.root)),
    release: await releaseFacts(at.release),
    verifiedManifest: await readVerified(at),
  };
}

async function releaseFacts(folder: string): Promise<ReleaseFacts | string | undefined> {
  const text = await readFile(join(folder, 'manifest.json'), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const { packages, sourceRevision, sourceDirty } = parseArtifactManifest(text);
    const carrier = packages.find(({ packageName }) => packageName === CARRIER.name);
    if (!carrier) return `its manifest does not list ${CARRIER.name}`;
    const { releaseMode, packageVersion: version } = carrier;
    return { manifestSha256: sha256(text), releaseMode, version, sourceRevision, sourceDirty };
  } catch (error) {
    if (error instanceof BuildError) return error.message.split('\n')[0] as string;
    throw error;
  }
}
