/**
 * Who a process is, beyond its reusable number: pid, start time and boot.
 *
 * A number alone is never trusted: numbers are reused, machines reboot, and clocks are set. Start times are compared
 * as the operating system writes them, never with now.
 *
 * Linux: `/proc/<pid>/stat` field 22 and `boot_id` (proc(5)). macOS: `ps -o lstart=`, `kern.bootsessionuuid`.
 * Windows: CIM start times.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readFile, readlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { promisify } from 'node:util';
import { errnoOf } from '../errors.ts';

const run = promisify(execFile);

export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque; null where it cannot be learned. */
  readonly procStart: string | null;
  readonly bootId: string | null;
  readonly host: string;
}

let self: Promise<ProcessIdentity> | undefined;

export function ownIdentity(): Promise<ProcessIdentity> {
  self ??= (async () => ({
    pid: process.pid,
    procStart: await processStart(process.pid),
    bootId: await bootId(),
    host: hostname(),
  }))();
  return self;
}

export type Life = 'alive' | 'dead' | 'another';

/** Whether the recorded process still runs on this host; `another` is a reused number or another boot. */
export async function lifeOf(recorded: Omit<ProcessIdentity, 'host'>): Promise<Life> {
  const boot = await bootId();
  if (recorded.bootId !== null && boot !== null && recorded.bootId !== boot) return 'another';
  if (!isRunning(recorded.pid)) return 'dead';
  const start = await processStart(recorded.pid);
  if (start === null) return isRunning(recorded.pid) ? 'alive' : 'dead';
  return recorded.procStart === null || recorded.procStart === start ? 'alive' : 'another';
}

/** EPERM means that it runs and is somebody else's. A zombie is dead: it holds nothing any more. */
export function isRunning(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (errnoOf(error) !== 'EPERM') return false;
  }
  return process.platform !== 'linux' || statFields(pid)?.[0] !== 'Z';
}

export async function processStart(pid: number): Promise<string | null> {
  if (process.platform === 'linux') return statFields(pid)?.[19] ?? null;
  if (process.platform === 'win32') return await powershell(`(Get-Process -Id ${pid}).StartTime.ToFileTimeUtc()`);
  return await output('ps', ['-o', 'lstart=', '-p', String(pid)]);
}

/** The executable file of a running process, links resolved; null where it cannot be learned. */
export async function executableOf(pid: number): Promise<string | null> {
  if (process.platform === 'linux') return await readlink(`/proc/${pid}/exe`).catch(() => null);
  if (process.platform === 'win32') return await powershell(`(Get-Process -Id ${pid}).Path`);
  return await output('ps', ['-o', 'comm=', '-p', String(pid)]);
}

let boot: Promise<string | null> | undefined;

export function bootId(): Promise<string | null> {
  boot ??= readBootId();
  return boot;
}

async function readBootId(): Promise<string | null> {
  if (process.platform === 'linux') {
    return await readFile('/proc/sys/kernel/random/boot_id', 'utf8')
      .then((text) => text.trim())
      .catch(() => null);
  }
  if (process.platform === 'win32') {
    return await powershell('(Get-CimInstance Win32_OperatingSystem).LastBootUpTime.ToFileTimeUtc()');
  }
  return await output('sysctl', ['-n', 'kern.bootsessionuuid']);
}

/** Fields of `/proc/<pid>/stat` from the third on: the name before them may hold anything, brackets included. */
function statFields(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

async function powershell(expression: string): Promise<string | null> {
  return await output('powershell.exe', ['-NoProfile', '-NonInteractive', '-Command', expression]);
}

async function output(command: string, args: readonly string[]): Promise<string | null> {
  try {
    const { stdout } = await run(command, [...args], {
      timeout: 5_000,
      env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
    });
    return stdout.trim() || null;
  } catch {
    return null;
  }
}
