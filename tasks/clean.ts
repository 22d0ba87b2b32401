/** Remove everything that the graph wrote; sources, tools and caches stay. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from './context.ts';

export async function clean({ at, log }: Context): Promise<void> {
  const state = ['steps', 'commits'].map((name) => join(at.state, name)); // the lock stays: it is held now
  const outputs = [at.staging, at.built.root, at.release, at.cli.dist, at.cli.pythonAssets, at.timings, at.bench];
  for (const path of [...outputs, ...state]) await rm(path, { recursive: true, force: true });
  log.say('removed what the graph had written');
}
