/**
 * Which process is which, beyond its number: a pid is reused, a pid with its
 * start time and the boot it belongs to is not.
 *
 * Linux reads field 22 of /proc/<pid>/stat and the kernel's boot_id. Elsewhere
 * both are empty and only the pid speaks.
 */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

export interface ProcessIdentity {
  readonly pid: number;
  readonly start: string;
  readonly boot: string;
  readonly host: string;
}

export function processIdentity(pid = process.pid): ProcessIdentity {
  return { pid, start: startOf(pid), boot: read('/proc/sys/kernel/random/boot_id').trim(), host: hostname() };
}

/** Whether the process that `owner` names still runs; unknown counts as running. */
export function isAlive(owner: ProcessIdentity): boolean {
  if (owner.host !== hostname()) return true;
  if (owner.boot !== processIdentity().boot) return false;
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  const start = startOf(owner.pid);
  return start === owner.start;
}

/** After the closing bracket of the command, which may itself hold spaces and brackets. */
function startOf(pid: number): string {
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' ? 'ended' : (fields[19] ?? '');
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
