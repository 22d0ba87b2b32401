/**
 * The life of a step, written down once: what it depends on, whether that
 * changed, how it is built beside and put into place, and what is remembered.
 *
 *   prepare   read the inputs and give each a digest; nothing outside the
 *             step's own scratch folder is touched
 *   decide    keep the output if the inputs' key and the output's bytes are
 *             those that were recorded; never by times
 *   run       build into the scratch folder
 *   commit    move the built output into its place, unless those very bytes lie
 *             there already, then record it
 *
 * A crash before the commit leaves the old output and a scratch folder that the
 * next run sweeps; between commit and record the output no longer matches its
 * record and the step runs again.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Context } from './context.ts';
import { hashPath } from './digest.ts';
import { duration } from './log.ts';
import { heal, replace } from './swap.ts';

/** What decides: a label that a person recognises, and the digest behind it. */
export type Inputs = Readonly<Record<string, string>>;

export interface Prepared<Result> {
  readonly inputs: Inputs;
  /** Build into the scratch folder; only called when needed. */
  readonly run: () => Promise<Built<Result>>;
}

export interface Built<Result> {
  /** What to move to the step's output; absent for a step that only checks. */
  readonly output?: string;
  /** Kept in the record, for the steps after it; plain JSON. */
  readonly result: Result;
}

export interface Step<Result> {
  readonly name: string;
  /** Gerund phrase of what it does, for the log. */
  readonly doing: string;
  /** The one file or folder that it owns; absent for a check. */
  readonly output?: string;
  /** `scratch` is null when only the inputs are asked for and nothing may be written. */
  readonly prepare: (context: Context, scratch: string | null) => Promise<Prepared<Result>>;
}

export interface Outcome {
  readonly step: string;
  readonly ran: boolean;
  /** Why: the inputs that decided, or that all is as recorded. */
  readonly because: string;
  readonly started: number;
  readonly milliseconds: number;
}

interface StepRecord<Result> {
  readonly key: string;
  readonly inputs: Inputs;
  readonly output: string | null;
  readonly result: Result;
}

/** Take a step through its life, once a pass, and return its result, built or remembered. */
export function perform<Result>(context: Context, step: Step<Result>): Promise<Result> {
  const running = context.performed.get(step.name) ?? live(context, step);
  context.performed.set(step.name, running);
  return running as Promise<Result>;
}

async function live<Result>(context: Context, step: Step<Result>): Promise<Result> {
  const started = performance.now();
  const scratch = context.scratch().folder(step.name);
  await mkdir(scratch, { recursive: true });
  try {
    if (step.output) await heal(step.output);
    const { inputs, run } = await step.prepare(context, scratch);
    const decision = await decide(context, step, inputs);
    if (decision.kept) return finish(context, step, decision.kept.result, started, false, decision.because);
    context.log.say(`${step.doing} (${decision.because})`);
    const built = await run();
    context.signal.throwIfAborted();
    await commit(context, step, inputs, built);
    return finish(context, step, built.result, started, true, decision.because);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** What `plan` shows: whether a step would run, without running it. */
export async function foresee<Result>(
  context: Context,
  step: Step<Result>,
): Promise<{ runs: boolean; because: string; inputs: Inputs; result: Result | undefined }> {
  const { inputs } = await step.prepare(context, null);
  const decision = await decide(context, step, inputs);
  return { runs: !decision.kept, because: decision.because, inputs, result: decision.kept?.result };
}

/** The result that an earlier run of this step recorded. */
export async function recall<Result>(context: Context, step: Step<Result>): Promise<Result | undefined> {
  return (await readRecord<Result>(context, step.name))?.result;
}

type Decision<Result> = { because: string; kept?: StepRecord<Result> };

async function decide<Result>(context: Context, step: Step<Result>, inputs: Inputs): Promise<Decision<Result>> {
  if (context.flags.force) return { because: 'forced' };
  const record = await readRecord<Result>(context, step.name);
  if (!record) return { because: 'never built' };
  if (record.key !== keyOf(step.name, inputs)) return { because: difference(record.inputs, inputs) };
  if (step.output) {
    const digest = await hashPath(step.output);
    if (digest === undefined) return { because: 'its output is gone' };
    if (digest !== record.output) return { because: 'its output was changed' };
  }
  return { because: 'nothing changed', kept: record };
}

function difference(before: Inputs, now: Inputs): string {
  const labels = [...new Set([...Object.keys(before), ...Object.keys(now)])].filter((one) => before[one] !== now[one]);
  const shown = labels.slice(0, 3).map((label) => {
    if (!(label in before)) return `${label} is new`;
    return label in now ? `${label} changed` : `${label} is gone`;
  });
  return `${shown.join(', ')}${labels.length > 3 ? ` and ${labels.length - 3} more` : ''}` || 'its key changed';
}

async function commit<Result>(
  context: Context,
  step: Step<Result>,
  inputs: Inputs,
  built: Built<Result>,
): Promise<void> {
  let output: string | null = null;
  if (step.output && built.output) {
    output = (await hashPath(built.output)) ?? null;
    const isThere = output === (await hashPath(step.output));
    if (!isThere) await replace(built.output, step.output, context.exchange);
  }
  const record: StepRecord<Result> = { key: keyOf(step.name, inputs), inputs, output, result: built.result };
  const file = recordFile(context, step.name);
  const next = join(context.scratch().folder(step.name), '.record');
  await mkdir(dirname(file), { recursive: true });
  await writeFile(next, `${JSON.stringify(record, null, 1)}\n`);
  await rename(next, file);
}

function finish<Result>(
  context: Context,
  step: Step<Result>,
  result: Result,
  started: number,
  ran: boolean,
  because: string,
): Result {
  const milliseconds = performance.now() - started;
  context.outcomes.push({ step: step.name, ran, because, started, milliseconds });
  if (context.flags.explain) {
    context.log.say(`${step.name}: ${ran ? 'ran' : 'kept'} in ${duration(milliseconds)}, ${because}`);
  }
  return result;
}

function keyOf(name: string, inputs: Inputs): string {
  const sorted = Object.entries(inputs).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([name, sorted]))
    .digest('hex');
}

function recordFile(context: Context, name: string): string {
  return join(context.at.state, 'steps', `${name}.json`);
}

async function readRecord<Result>(context: Context, name: string): Promise<StepRecord<Result> | undefined> {
  try {
    return JSON.parse(await readFile(recordFile(context, name), 'utf8')) as StepRecord<Result>;
  } catch {
    return undefined; // absent or damaged: the step runs
  }
}
