/** `ktx runtime prune`: deletes only after `--yes`; `--dry-run` says what would go. */
import type { Handler } from '../../command.ts';
import { usageError } from '../../errors.ts';
import { runtimePaths } from '../../runtime/paths.ts';
import { prune } from '../../runtime/prune.ts';
import { size } from '../../runtime/space.ts';

export interface PruneOptions {
  readonly dryRun?: boolean;
  readonly keep?: number;
  readonly olderThan?: number;
  readonly stopDaemons?: boolean;
}

export const runtimePrune: Handler<PruneOptions> = async (
  context,
  _,
  { dryRun = false, keep, olderThan, stopDaemons = false },
) => {
  if (!dryRun && !context.globals.yes) {
    throw usageError(
      'prune deletes files and needs your consent; nothing was removed',
      'See what would go with --dry-run, then give --yes.',
    );
  }
  const pruned = await prune({
    context,
    paths: runtimePaths(context),
    dryRun,
    stopDaemons,
    ...(keep === undefined ? {} : { keep }),
    ...(olderThan === undefined ? {} : { olderThanDays: olderThan }),
  });
  const verb = dryRun ? 'would remove' : 'removed';
  const lines = [
    ...pruned.removed.map((path) => `${verb} ${path}`),
    ...pruned.kept.map(({ path, reason }) => `kept ${path}: ${reason}`),
    pruned.removed.length === 0 ? 'nothing to remove' : `${verb} ${size(pruned.bytes)} in all`,
  ];
  return { text: lines.join('\n'), document: pruned };
};
