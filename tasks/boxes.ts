/**
 * How a box of the diagram becomes a function that gulp can call: named, given
 * the context, and, when it writes, holding the checkout's lock. What the disk
 * refuses, wherever it did, leaves as one message.
 */
import type { Context } from './context.ts';
import { diskFault } from './disk.ts';

type Work = (context: Context) => Promise<void>;
type Box = (() => Promise<void>) & { displayName: string };

export function boxes(context: Context): {
  step: (name: string, work: Work) => Box;
  named: (name: string, work: Work) => Box;
} {
  const named = (name: string, work: Work): Box =>
    Object.assign(() => work(context).catch((error) => Promise.reject(diskFault(error, context.at.dist) ?? error)), {
      displayName: name,
    });
  /** It writes: the lock is held until the run ends. */
  const step = (name: string, work: Work): Box =>
    named(name, async (given) => {
      await given.hold(name);
      await work(given);
    });
  return { step, named };
}

/** Run a composed gulp task to its end. */
export function finished(fn: (done: (error?: Error | null) => void) => unknown): Promise<void> {
  return new Promise((resolve, reject) => void fn((error) => (error ? reject(error) : resolve())));
}
