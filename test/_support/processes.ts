/** Which processes there are, as Linux tells it; elsewhere none is found. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** Commands that run in `folder` or name a path in it, after those that were just ended had ten seconds to go. */
export async function processesIn(folder: string): Promise<string[]> {
  for (let tries = 0; ; tries += 1) {
    const found = await look(folder);
    if (found.length === 0 || tries === 100) return found;
    await sleep(100);
  }
}

async function look(folder: string): Promise<string[]> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const all = pids.map(async (pid) => {
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => '');
    const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).replaceAll('\0', ' ');
    const isHere = command !== '' && Number(pid) !== process.pid && `${cwd}/ ${command}`.includes(`${folder}/`);
    return isHere ? [`${pid} in ${cwd}: ${command}`] : [];
  });
  return (await Promise.all(all)).flat();
}

/** Resolves once a process is gone, or waits for nobody but its reaper. */
export async function gone(pid: number): Promise<void> {
  for (;;) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    if (stat === '' || /\) Z /.test(stat)) return;
    await sleep(20);
  }
}
