/**
 * The one-shot carrier: a Python process per operation, nothing left running.
 *
 * A body of any size goes through (the child reads up to 64 MiB); Python's own error object becomes
 * ours, code and message unchanged.
 */
import { KtxError } from '../errors.ts';
import { isRecord } from '../project/project.ts';
import type { ChildResult } from './child.ts';
import { type Compute, type Exchange, type Launch, OPERATIONS, type Operation } from './port.ts';
import { computeOver, excerpt, protocolError } from './respond.ts';

export const MAX_ONE_SHOT_BODY = 64 * 1024 * 1024;
const MAX_STDOUT = 64 * 1024 * 1024;

export interface OneShotOptions {
  /** `KTX_COMPUTE_TIMEOUT`, in milliseconds; 60 s unless given. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * The compute port over `launch`.
 *
 * Errors: `runtime_unusable` if the child cannot be started, `timeout`, `protocol_error`, and every
 * code of the daemon's table.
 */
export function createOneShotCompute(launch: Launch, options: OneShotOptions = {}): Compute {
  return computeOver(oneShotExchange(launch, options));
}

export function oneShotExchange(launch: Launch, options: OneShotOptions = {}): Exchange {
  return async (operation, body) => await (await startOneShot(launch, operation, options))(body);
}

/** Brings one body to a process that runs already, and its (unchecked) answer back. */
export type Started = (body: unknown) => Promise<unknown>;

/**
 * A process for one operation, started before its body is known: Python imports while the caller prepares.
 *
 * One that gets no body ends with this process.
 */
export async function startOneShot(
  launch: Launch,
  operation: Operation,
  { timeoutMs = 60_000, signal }: OneShotOptions = {},
): Promise<Started> {
  const { runChild } = await import('./child.ts');
  const input = Promise.withResolvers<Uint8Array>();
  const running = runChild(
    {
      command: launch.python,
      args: [...launch.args, OPERATIONS[operation].subcommand, '--error-format', 'json'],
      cwd: launch.cwd,
      env: launch.env,
    },
    input.promise,
    { timeoutMs, maxOutput: MAX_STDOUT, signal },
  );
  running.catch(() => {}); // told to whoever sends the body
  return async (body) => {
    const bytes = Buffer.from(JSON.stringify(body), 'utf8');
    if (bytes.length <= MAX_ONE_SHOT_BODY) input.resolve(bytes);
    else input.reject(tooLarge(operation, bytes.length));
    let result: ChildResult;
    try {
      result = await running;
    } catch (error) {
      if (signal?.aborted || error instanceof KtxError) throw error;
      throw unusable(launch, error as NodeJS.ErrnoException);
    }
    return parsed(operation, result, timeoutMs);
  };
}

function parsed(operation: Operation, result: ChildResult, timeoutMs: number): unknown {
  const { stdout, stderr, exitCode, exitSignal, ended } = result;
  if (ended === 'timeout') {
    throw new KtxError('timeout', `The runtime did not finish ${operation} within ${timeoutMs / 1000} s.`, {
      hint: 'Ask for less at once, or give it longer: KTX_COMPUTE_TIMEOUT=300 (seconds).',
      details: { operation, timeoutMs },
    });
  }
  if (ended === 'output') throw protocolError(operation, 'it is larger than 64 MiB', { stderr });
  if (exitCode !== 0) throw childFailure(operation, stderr, exitCode, exitSignal, stdout);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(stdout);
  } catch {
    throw protocolError(operation, 'it is not UTF-8', { stdout: stdout.toString('latin1'), stderr });
  }
  try {
    return JSON.parse(text);
  } catch {
    const problem = text.trim() === '' ? 'it is empty' : 'it is not one JSON document';
    throw protocolError(operation, problem, { stdout: text, stderr });
  }
}

/** The last line of stderr is Python's error object; without one the child died of something else. */
function childFailure(
  operation: Operation,
  stderr: string,
  exitCode: number | null,
  exitSignal: NodeJS.Signals | null,
  stdout: Buffer,
): KtxError {
  const told = errorObject(stderr.trimEnd().split('\n').at(-1) ?? '');
  if (told !== undefined) return told;
  const how = exitSignal === null ? `exit code ${exitCode}` : `signal ${exitSignal}`;
  const said = [stderr, stdout.toString('utf8')].map(excerpt).find((text) => text !== '');
  return new KtxError(
    'runtime_failed',
    `The runtime ended with ${how} during ${operation}${said ? `: ${said}` : '.'}`,
    {
      hint: 'Check it with "ktx runtime doctor"; "ktx runtime install --force" rebuilds it.',
      details: { operation, exitCode, exitSignal },
    },
  );
}

/** `{"error": {code, message, details?}}` as ours. */
export function errorObject(line: string): KtxError | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  const error = isRecord(value) ? value.error : undefined;
  if (!isRecord(error) || typeof error.code !== 'string' || typeof error.message !== 'string') return undefined;
  return new KtxError(error.code, error.message, isRecord(error.details) ? { details: error.details } : {});
}

function unusable(launch: Launch, error: NodeJS.ErrnoException): KtxError {
  return new KtxError(
    'runtime_unusable',
    `The runtime cannot be started: ${launch.python}: ${error.code ?? error.message}.`,
    {
      hint: 'Repair it with "ktx runtime install".',
      details: { python: launch.python, ...(error.code === undefined ? {} : { errno: error.code }) },
      cause: error,
    },
  );
}

export function tooLarge(operation: Operation, bytes: number): KtxError {
  return new KtxError(
    'limit_exceeded',
    `The request of ${operation} is ${bytes} bytes; at most ${MAX_ONE_SHOT_BODY} fit.`,
    {
      hint: 'Split the project: sources of other connections are never sent, so give them connections of their own.',
      details: { operation, bytes },
    },
  );
}
