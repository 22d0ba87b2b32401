/**
 * Starting the daemon under its lock: reuse a proven one, else replace it.
 *
 * The port is the daemon's own choice (`--port 0`), read from the ready file, so there is no race for a number. The
 * token travels in the environment and rests in the 0600 record; it is in no argument list, log or document.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CommandContext } from '../command.ts';
import { CliError } from '../errors.ts';
import { killGroup } from './child.ts';
import { type Examined, examine, readReadyFile } from './daemon-identity.ts';
import { askDaemon } from './daemon-probe.ts';
import { type DaemonHome, type DaemonRecord, removeRecord, writableHome, writeRecord } from './daemon-state.ts';
import { stopExamined } from './daemon-stop.ts';
import { launchOf } from './ensure.ts';
import { asRootError } from './install.ts';
import type { InstalledManifest } from './installed.ts';
import { acquire, acquireNow } from './lock.ts';
import type { RuntimePaths } from './paths.ts';
import { bootId, executableOf, processStart } from './process-identity.ts';
import { seconds } from './seconds.ts';
import { sweep } from './sweep.ts';
import type { Feature } from './types.ts';

export interface StartRequest {
  readonly context: CommandContext;
  readonly paths: RuntimePaths;
  readonly features: readonly Feature[];
  readonly force?: boolean;
  readonly idleTimeoutSeconds?: number;
  /** The committed manifest, without installing; undefined when there is no ready one. */
  readonly current: () => Promise<InstalledManifest | undefined>;
  /** Installs where needed. */
  readonly ensure: () => Promise<InstalledManifest>;
}

export interface Started {
  readonly kind: 'started' | 'reused';
  readonly record: DaemonRecord;
  readonly home: DaemonHome;
}

const LOG_BYTES = 5 * 1024 * 1024;
const LOGS_KEPT = 3;

export async function startDaemon(request: StartRequest): Promise<Started> {
  return await startLocked(request).catch((error) => {
    throw asRootError(request.paths, error);
  });
}

async function startLocked(request: StartRequest): Promise<Started> {
  const { context, paths } = request;
  // The install may make the root: until then the lock has no place that is ours.
  const manifest = (await request.current()) ?? (await request.ensure());
  const home = await writableHome(paths, context.env);
  const lock = await acquire(home.lock, {
    timeoutMs: seconds(context.env, 'KTX_RUNTIME_LOCK_TIMEOUT', 600) * 1000,
    signal: context.signal,
    onWait: (holder) =>
      context.terminal.note(
        `waiting for ${holder === undefined ? 'another process' : `process ${holder.pid}`}, which is starting the daemon`,
      ),
  });
  try {
    const found = await examine(paths, context.env, manifest.generation);
    const reused = request.force === true ? undefined : reusable(found, request.features);
    if (reused !== undefined) return { kind: 'reused', record: reused, home: found.home };
    const ready = await request.ensure();
    await clear(found, context);
    const started = await spawnDaemon(request, ready, home);
    await sweepNow(paths, context);
    return started;
  } finally {
    await lock.release();
  }
}

function reusable({ standing, record }: Examined, features: readonly Feature[]): DaemonRecord | undefined {
  if (standing !== 'running' || record === undefined) return undefined;
  return features.every((feature) => record.features.includes(feature)) ? record : undefined;
}

/** The old one is gone before the new state is written. */
async function clear(found: Examined, context: CommandContext): Promise<void> {
  const { kind, detail, state } = await stopExamined(found);
  if (kind === 'stale-cleaned' || kind === 'not-ours') {
    context.terminal.note(`removed a stale daemon record, ${state}${detail === undefined ? '' : `: ${detail}`}`);
  }
}

async function spawnDaemon(request: StartRequest, manifest: InstalledManifest, home: DaemonHome): Promise<Started> {
  const { context, paths } = request;
  await Promise.all([rotated(home.stdoutLog), rotated(home.stderrLog), rm(home.readyFile, { force: true })]);
  const secrets = { token: randomBytes(32).toString('hex'), nonce: randomBytes(16).toString('hex') };
  const starting: DaemonRecord = {
    schemaVersion: 1,
    pid: 0,
    host: '127.0.0.1',
    port: 0,
    version: paths.cliVersion,
    features: manifest.features,
    startedAt: new Date().toISOString(),
    stdoutLog: home.stdoutLog,
    stderrLog: home.stderrLog,
    state: 'starting',
    ...secrets,
    procStart: null,
    bootId: await bootId(),
    hostName: hostname(),
    exe: null,
    generation: manifest.generation,
  };
  await writeRecord(home, starting);
  const step = await context.terminal.step('Starting the daemon');
  let child: ChildProcess | undefined;
  try {
    const stderrFrom = await stat(home.stderrLog)
      .then(({ size }) => size)
      .catch(() => 0);
    child = launched(request, manifest, home, secrets);
    if (child.pid !== undefined) {
      await writeRecord(home, { ...starting, pid: child.pid, procStart: await processStart(child.pid) });
    }
    const record = await awaited(child, request, home, starting, stderrFrom);
    await writeRecord(home, record);
    step.done();
    return { kind: 'started', record, home };
  } catch (error) {
    step.failed();
    if (child?.pid !== undefined) await killed(child);
    await removeRecord(home);
    throw error;
  }
}

function launched(
  { context, paths, idleTimeoutSeconds = 1800 }: StartRequest,
  manifest: InstalledManifest,
  home: DaemonHome,
  { token, nonce }: { readonly token: string; readonly nonce: string },
): ChildProcess {
  const { python, args, env, cwd } = launchOf(paths, manifest, context);
  const serve = ['serve-http', '--host', '127.0.0.1', '--port', '0', '--ready-file', home.readyFile];
  const level = /^(?:critical|error|warning|info|debug|trace)$/i
    .exec(context.env.KTX_LOG_LEVEL ?? '')?.[0]
    .toLowerCase();
  const log = level === undefined ? [] : ['--log-level', level];
  const out = openSync(home.stdoutLog, 'a', 0o600);
  const err = openSync(home.stderrLog, 'a', 0o600);
  try {
    const child = spawn(python, [...args, ...serve, '--idle-timeout', String(idleTimeoutSeconds), ...log], {
      cwd,
      env: { ...env, KTX_DAEMON_VERSION: paths.cliVersion, KTX_DAEMON_TOKEN: token, KTX_DAEMON_NONCE: nonce },
      stdio: ['ignore', out, err],
      detached: true,
      windowsHide: true,
    });
    child.unref();
    return child;
  } finally {
    closeSync(out);
    closeSync(err);
  }
}

/** Waits for the ready file with our nonce and for `/health` with our version. */
async function awaited(
  child: ChildProcess,
  { context, paths }: StartRequest,
  home: DaemonHome,
  starting: DaemonRecord,
  stderrFrom: number,
): Promise<DaemonRecord> {
  const limit = seconds(context.env, 'KTX_DAEMON_START_TIMEOUT', 30);
  const deadline = performance.now() + limit * 1000;
  const failure = async (what: string): Promise<CliError> => {
    const tail = await tailOf(home.stderrLog, stderrFrom);
    const message = [`the daemon ${what}`, ...tail.map((line) => `  | ${line}`)].join('\n');
    return new CliError('daemon_start_failed', message, {
      hint: `Its output is in ${home.stderrLog}. To check the runtime: ktx runtime doctor`,
      details: { tail },
    });
  };
  let died: string | undefined;
  child.once('error', (error) => {
    died = `cannot be started (${error.message})`;
  });
  child.once('exit', (code, signal) => {
    died ??= code === null ? `was ended by ${signal} while starting` : `ended with exit code ${code} while starting`;
  });
  while (performance.now() < deadline) {
    context.signal.throwIfAborted();
    const ready = await readReadyFile(home);
    if (ready !== undefined && ready.nonce === starting.nonce) {
      const health = await askDaemon({ host: starting.host, port: ready.port, path: '/health' });
      const body = (typeof health === 'object' && health.status === 200 ? health.body : undefined) as
        | { status?: unknown; version?: unknown }
        | undefined;
      if (body?.status === 'healthy') {
        if (body.version !== paths.cliVersion)
          throw await failure(`answers as version ${JSON.stringify(body.version)}, not ${paths.cliVersion}`);
        return {
          ...starting,
          state: 'running',
          pid: ready.pid,
          port: ready.port,
          procStart: await processStart(ready.pid),
          exe: await executableOf(ready.pid),
        };
      }
    }
    if (died !== undefined) throw await failure(died);
    await sleep(50);
  }
  throw await failure(`was not ready within ${limit} s and was ended`);
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.pid === undefined) return;
  killGroup(child.pid, 'SIGKILL');
  const deadline = performance.now() + 5_000;
  while (child.exitCode === null && child.signalCode === null && performance.now() < deadline) await sleep(20);
}

/** The generation of the daemon just replaced is needed no more; a running installation sweeps by itself. */
async function sweepNow(paths: RuntimePaths, context: CommandContext): Promise<void> {
  const lock = await acquireNow(paths.installLock).catch(() => undefined);
  if (lock === undefined) return;
  try {
    await sweep(paths, context.env);
  } finally {
    await lock.release();
  }
}

/** `log` → `log.1` → `log.2` → `log.3`, when it has grown. */
async function rotated(log: string): Promise<void> {
  const size = await stat(log)
    .then((found) => found.size)
    .catch(() => 0);
  if (size <= LOG_BYTES) return;
  for (let n = LOGS_KEPT - 1; n >= 1; n--) await rename(`${log}.${n}`, `${log}.${n + 1}`).catch(() => {});
  await rename(log, `${log}.1`).catch(() => {});
}

/** The last 20 lines that this start wrote. */
async function tailOf(log: string, from: number): Promise<string[]> {
  const file = await open(log, 'r').catch(() => undefined);
  if (file === undefined) return [];
  try {
    const { size } = await file.stat();
    const start = Math.max(from, size - 16 * 1024);
    const { buffer, bytesRead } = await file.read(
      Buffer.alloc(Math.max(0, size - start)),
      0,
      Math.max(0, size - start),
      start,
    );
    const text = buffer.subarray(0, bytesRead).toString('utf8').trimEnd();
    return text === '' ? [] : text.split('\n').slice(-20);
  } finally {
    await file.close();
  }
}
