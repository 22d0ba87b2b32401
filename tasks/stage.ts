/**
 * The staging tree: both Python packages and the generated files, streamed and
 * hashed in one pass into `dist/runtime-wheel-src`.
 *
 * The stream always runs, for reading the sources is the only way to know their
 * content; the tree in place is exchanged only when the ledger differs.
 */
import { join } from 'node:path';
import type { Context } from './context.ts';
import { sha256 } from './digest.ts';
import { type Ledger, parseLedger, serializeLedger, treeDigest } from './ledger.ts';
import type { RuntimeProject } from './pyproject.ts';
import { readSources } from './sources.ts';
import { stageTrees } from './stage-tree.ts';
import { perform, recall, type Step } from './step.ts';

export interface StageResult {
  readonly ledger: string;
  readonly digest: string;
  readonly project: RuntimeProject;
  readonly leftOut: Readonly<Record<string, number>>;
}

export interface Staged {
  readonly ledger: Ledger;
  readonly digest: string;
  readonly project: RuntimeProject;
}

/** `read`: where the trees lie, when not in the sources themselves. */
export function stageStep({ at }: Pick<Context, 'at'>, read = readSources): Step<StageResult> {
  return {
    name: 'stage',
    doing: 'staging the Python packages',
    output: at.staging,
    async prepare(context, scratch) {
      const { project, trees, generated } = await read(context);
      const out = scratch && join(scratch, 'tree');
      const { ledger, leftOut } = await stageTrees({ trees, generated, out });
      const digest = treeDigest(ledger);
      const result = { ledger: serializeLedger(ledger), digest, project, leftOut };
      return {
        inputs: {
          ...byTop(ledger),
          'left out': sha256(JSON.stringify(leftOut)),
          'source pyprojects': sha256(JSON.stringify(project)),
        },
        run: async () => ({ ...(out ? { output: out } : {}), result }),
      };
    },
  };
}

export async function stage(context: Context): Promise<void> {
  const { digest, ledger, leftOut } = await perform(context, stageStep(context));
  const skipped = Object.entries(leftOut).map(([kind, count]) => `${count} ${kind}`);
  const files = parseLedger(ledger).size;
  context.log.say(
    `staged ${files} files, tree ${digest.slice(0, 12)}${skipped.length > 0 ? `, left out ${skipped.join(', ')}` : ''}`,
  );
}

/** What the last `stage` put into place. */
export async function staged(context: Context): Promise<Staged> {
  const result = await recall(context, stageStep(context));
  if (!result) throw new Error(`${context.at.staging} was used before it was staged`);
  return { ledger: parseLedger(result.ledger), digest: result.digest, project: result.project };
}

/** One input per top folder or file of the tree: enough for a person to see what changed. */
function byTop(ledger: Ledger): Record<string, string> {
  const groups = new Map<string, string[]>();
  for (const [path, { sha256: digest }] of ledger) {
    const top = path.split('/')[0] as string;
    const lines = groups.get(top) ?? [];
    lines.push(`${path} ${digest}`);
    groups.set(top, lines);
  }
  return Object.fromEntries([...groups].map(([top, lines]) => [top, sha256(lines.join('\n'))]));
}
