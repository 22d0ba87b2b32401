/**
 * `npm run bench`: figures measured side by side in one run, printed as ratios
 * and written to `dist/bench.json`. A missed bound is said, not a failure: these
 * are measurements, and machines are noisy.
 */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { benchArtifacts } from '../bench/artifacts.ts';
import { printRows } from '../bench/row.ts';
import { benchStaging } from '../bench/staging.ts';
import { benchWatching } from '../bench/watching.ts';
import type { Context } from './context.ts';
import { prettyJson } from './strict-json.ts';

export async function bench(context: Context): Promise<void> {
  const { at, log } = context;
  const { python } = await context.toolchain();
  const rows = [...(await benchArtifacts(at.root)), ...(await benchStaging()), ...(await benchWatching(python.path))];
  printRows(rows);
  await mkdir(dirname(at.bench), { recursive: true });
  await writeFile(`${at.bench}.next`, prettyJson(rows));
  await rename(`${at.bench}.next`, at.bench);
  log.say('wrote dist/bench.json');
}
