/**
 * The managed runtime as the commands see it.
 *
 * `ensureRuntime` is the only door to Python: it installs lazily under the user's policy; `readyRuntime` is the same door
 * if it stands open. `findManagedDaemon` never starts anything; `startManagedDaemon` does. All take the command's context for policy, output and signals.
 */
import type { CommandContext } from '../command.ts';
import type { Feature, Launch, ManagedDaemon } from './types.ts';

export type { Feature, Launch, ManagedDaemon } from './types.ts';

export interface EnsureOptions {
  readonly context: CommandContext;
  /** `core` unless given. */
  readonly feature?: Feature;
  /** The last launch could not be spawned: look again and repair instead of trusting what is on disk. */
  readonly repair?: boolean;
}

/** A launch of the runtime if it is ready; never installs, never asks. */
export async function readyRuntime(options: EnsureOptions): Promise<Launch | undefined> {
  const { ready } = await import('./ensure.ts');
  return ready(options);
}

/**
 * A launch of the ready runtime, installing it first where policy allows.
 *
 * Throws `runtime_required` when it would have to ask but may not, `declined` when the user said no.
 */
export async function ensureRuntime(options: EnsureOptions): Promise<Launch> {
  const { ensure } = await import('./ensure.ts');
  return ensure(options);
}

/** The daemon of this root and version, if it is running, proven, current and has the feature. */
export async function findManagedDaemon(options: EnsureOptions): Promise<ManagedDaemon | undefined> {
  const { findDaemon } = await import('./daemon-find.ts');
  return findDaemon(options);
}

/** Starts or reuses the daemon, installing the runtime first where policy allows (embeddings need it). */
export async function startManagedDaemon(options: EnsureOptions): Promise<ManagedDaemon> {
  const { ensureDaemon } = await import('./daemon-find.ts');
  return ensureDaemon(options);
}
