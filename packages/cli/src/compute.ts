/**
 * Who answers the compute port for this command.
 *
 * `KTX_DAEMON_URL` names a daemon of the user's own and is never replaced by anything. Else a proven running daemon
 * of ours, else a process per operation; the runtime is made sure of when the first operation needs it, not before.
 * A command that knows what it will ask `prepare`s it: a ready runtime then starts while the command reads its files.
 */
import type { CommandContext } from './command.ts';
import {
  type Compute,
  computeOver,
  type Endpoint,
  type Exchange,
  httpExchange,
  isKtxError,
  KtxError,
  type Operation,
  type Started,
  startOneShot,
} from './context.ts';
import { usageError } from './errors.ts';
import { ensureRuntime, findManagedDaemon, readyRuntime, startManagedDaemon } from './runtime/index.ts';

const SQL_OPERATIONS: readonly Operation[] = ['parseTableIdentifiers', 'validateReadOnly'];

export interface PreparedCompute extends Compute {
  /** Gets processes for these operations, one use each, going if they are what would answer; else does nothing. */
  readonly prepare: (...operations: readonly Operation[]) => Promise<void>;
}

export function computeFor(context: CommandContext): PreparedCompute {
  const { env, signal } = context;
  const timeoutMs = computeTimeout(context);
  const token = env.KTX_DAEMON_TOKEN || undefined;
  const unmanaged = (baseUrl: string): Exchange => httpExchange({ baseUrl, token, timeoutMs, signal });
  const daemonUrl = httpUrl('KTX_DAEMON_URL', env.KTX_DAEMON_URL);
  const sqlUrl = httpUrl('KTX_SQL_ANALYSIS_URL', env.KTX_SQL_ANALYSIS_URL);
  const { exchange, prepare } =
    daemonUrl === undefined ? managed(context, timeoutMs) : { exchange: unmanaged(daemonUrl), prepare: async () => {} };
  if (sqlUrl === undefined) return { ...computeOver(exchange), prepare };
  const sql = unmanaged(sqlUrl);
  return {
    ...computeOver((operation, body) => (SQL_OPERATIONS.includes(operation) ? sql : exchange)(operation, body)),
    prepare: (...operations) => prepare(...operations.filter((one) => !SQL_OPERATIONS.includes(one))),
  };
}

interface Carrier {
  readonly exchange: Exchange;
  readonly prepare: PreparedCompute['prepare'];
}

function managed(context: CommandContext, timeoutMs: number): Carrier {
  const { signal } = context;
  const own = ownProcess(context, timeoutMs);
  let chosen: Promise<Exchange> | undefined;
  const choose = async (): Promise<Exchange> => {
    const daemon = await findManagedDaemon({ context });
    if (daemon === undefined) return own.exchange;
    return httpExchange({
      ...daemon,
      timeoutMs,
      signal,
      refresh: () => findManagedDaemon({ context }),
      fallback: own.exchange,
      note: context.terminal.note,
    });
  };
  return {
    exchange: async (operation, body) => {
      if (operation === 'embed') return embedding(context, timeoutMs)(operation, body);
      chosen ??= choose();
      return (await chosen)(operation, body);
    },
    prepare: async (...operations) => {
      chosen ??= choose();
      if ((await chosen) === own.exchange) await own.prepare(...operations);
    },
  };
}

/** A model is worth keeping loaded, so embeddings always go to the daemon. */
function embedding(context: CommandContext, timeoutMs: number): Exchange {
  return async (operation, body) => {
    const start = (): Promise<Endpoint> => startManagedDaemon({ context, feature: 'local-embeddings' });
    const daemon = await start();
    return httpExchange({ ...daemon, timeoutMs, signal: context.signal, refresh: start })(operation, body);
  };
}

/** A process per operation; one that cannot be started sends the runtime to repair, once. */
function ownProcess(context: CommandContext, timeoutMs: number): Carrier {
  const options = { timeoutMs, signal: context.signal };
  const started = new Map<Operation, Started>();
  let launch: ReturnType<typeof ensureRuntime> | undefined;
  let repaired = false;
  const exchange: Exchange = async (operation, body) => {
    launch ??= ensureRuntime({ context });
    const going = started.get(operation);
    started.delete(operation);
    try {
      return await (going ?? (await startOneShot(await launch, operation, options)))(body);
    } catch (error) {
      if (!isKtxError(error) || error.code !== 'runtime_unusable' || repaired) throw error;
      repaired = true;
      launch = ensureRuntime({ context, repair: true });
      return (await startOneShot(await launch, operation, options))(body);
    }
  };
  const prepare: Carrier['prepare'] = async (...operations) => {
    const ready = await readyRuntime({ context });
    if (ready === undefined) return; // the command's own mistakes are told before anything is installed
    launch = Promise.resolve(ready);
    for (const operation of operations) started.set(operation, await startOneShot(ready, operation, options));
  };
  return { exchange, prepare };
}

function computeTimeout({ env }: CommandContext): number {
  const text = env.KTX_COMPUTE_TIMEOUT ?? '';
  if (text === '') return 60_000;
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= 86_400)) {
    throw usageError(`KTX_COMPUTE_TIMEOUT is '${text}'.`, 'Give a number of seconds, as 60.');
  }
  return seconds * 1000;
}

function httpUrl(name: string, text: string | undefined): string | undefined {
  if (text === undefined || text === '') return undefined;
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw new KtxError('usage', `${name} is not an http:// or https:// address.`, {
      hint: `Set it to the address of a running daemon, as ${name}=http://127.0.0.1:8765, or unset it.`,
    });
  }
  return text;
}
