/**
 * SIGINT and SIGTERM.
 *
 * The first aborts the command, which then has time to end its children and clean up; the second ends the process at
 * once. A command that pays no attention is given up after the grace period.
 */
import { Interrupted } from './errors.ts';

/** Longer than the five seconds after which a child group is killed. */
const GRACE_MS = 8_000;

export interface Signals {
  readonly signal: AbortSignal;
  /** The command's own end, or the interruption once the grace period is over. */
  readonly race: <T>(work: Promise<T>) => Promise<T>;
  readonly dispose: () => void;
}

export function onSignal(): Signals {
  const controller = new AbortController();
  let expired: (error: Interrupted) => void = () => {};
  const grace = new Promise<never>((_, reject) => {
    expired = reject;
  });
  grace.catch(() => {});
  const listen = (name: 'SIGINT' | 'SIGTERM') => (): void => {
    const interrupted = new Interrupted(name);
    if (controller.signal.aborted) process.exit(interrupted.exitCode);
    controller.abort(interrupted);
    setTimeout(() => expired(interrupted), GRACE_MS).unref();
  };
  const onInt = listen('SIGINT');
  const onTerm = listen('SIGTERM');
  process.on('SIGINT', onInt);
  process.on('SIGTERM', onTerm);
  return {
    signal: controller.signal,
    race: (work) => Promise.race([work, grace]),
    dispose: () => {
      process.removeListener('SIGINT', onInt);
      process.removeListener('SIGTERM', onTerm);
    },
  };
}
