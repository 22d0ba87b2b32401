/**
 * `gulp verify`: what will be shipped, checked as someone else would check it.
 * First the release folder against its manifest, then the chain of custody, then
 * the clean room with the very tarball whose digest the manifest holds.
 */
import { join, resolve } from 'node:path';
import { cleanRoom } from './clean-room.ts';
import type { Context } from './context.ts';
import { checkCustody } from './custody.ts';
import { hashFile } from './digest.ts';
import { parseLedger } from './ledger.ts';
import { openRelease } from './release-check.ts';
import { stageStep } from './stage.ts';
import { recall } from './step.ts';
import { recordVerified } from './verified.ts';

export async function verify(context: Context): Promise<void> {
  const { at, flags, log } = context;
  const folder = flags.release ? resolve(flags.release) : at.release;
  const release = await openRelease(folder);
  log.say(`${release.manifest.files.length} artifacts are what the manifest says`);
  const own = flags.release ? undefined : await recall(context, stageStep(context));
  const { manifest, tarball } = checkCustody(release, own && parseLedger(own.ledger));
  log.say('the chain of custody holds from source to tarball');
  if (!flags.cleanRoom) {
    log.warn('clean room skipped: --no-clean-room');
    return;
  }
  const entry = release.manifest.files.find(({ path }) => path === tarball);
  if (!entry) throw new Error('the carrier vanished from its own manifest');
  await cleanRoom(context, {
    tarball: join(folder, tarball),
    sha256: entry.sha256,
    version: entry.packageVersion,
    manifest,
  });
  if (!flags.release) await recordVerified(at, await hashFile(join(folder, 'manifest.json')));
  log.say('installed and answering in a clean room');
}
