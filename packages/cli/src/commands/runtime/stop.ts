/** `ktx runtime stop`: the daemon of this version, or with `--all` of every version in the root. */
import { readdir } from 'node:fs/promises';
import type { CommandContext, Handler } from '../../command.ts';
import { isFailure } from '../../errors.ts';
import { type Stopped, stopDaemon } from '../../runtime/daemon-stop.ts';
import { type RuntimePaths, runtimePaths } from '../../runtime/paths.ts';
import { isSemver } from '../../runtime/platform.ts';

export const runtimeStop: Handler<{ readonly all?: boolean }> = async (context, _, { all = false }) => {
  const paths = runtimePaths(context);
  if (all) return await stopAll(context, paths);
  const stopped = await stopDaemon(paths, context);
  return { text: line(stopped), document: stopped };
};

async function stopAll(context: CommandContext, paths: RuntimePaths): ReturnType<typeof runtimeStop> {
  const versions = new Set([paths.cliVersion, ...(await readdir(paths.root).catch(() => [])).filter(isSemver)]);
  const daemons: Record<string, unknown>[] = [];
  const lines: string[] = [];
  let failed = false;
  for (const version of [...versions].sort()) {
    try {
      const stopped = await stopDaemon(runtimePaths(context, version), context);
      daemons.push({ version, ...stopped });
      lines.push(`${version}: ${line(stopped)}`);
    } catch (error) {
      if (!isFailure(error)) throw error;
      failed = true;
      daemons.push({ version, kind: 'failed', error: error.message });
      context.terminal.warn(`${version}: ${error.message}`);
    }
  }
  return { text: lines.join('\n'), document: { daemons }, exitCode: failed ? 1 : 0 };
}

function line({ kind, pid, detail }: Stopped): string {
  const why = detail === undefined ? '' : `: ${detail}`;
  switch (kind) {
    case 'stopped':
      return `daemon stopped (process ${pid})`;
    case 'already-stopped':
      return 'daemon already stopped (already-stopped)';
    case 'stale-cleaned':
      return `stale daemon record removed (stale-cleaned)${why}`;
    default:
      return `the recorded process is not our daemon and was left alone; its record was removed (not-ours)${why}`;
  }
}
