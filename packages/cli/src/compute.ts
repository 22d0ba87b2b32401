/**
 * Who answers the compute port for this command.
 *
 * `KTX_DAEMON_URL` names a daemon of the user's own and is never replaced by anything. Else a proven running daemon
 * of ours, else a process per operation; the runtime is made sure of when the first operation needs it, not before.
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
  oneShotExchange,
} from './context.ts';
import { usageError } from './errors.ts';
import { ensureRuntime, findManagedDaemon, startManagedDaemon } from './runtime/index.ts';

const SQL_OPERATIONS: readonly Operation[] = ['parseTableIdentifiers', 'validateReadOnly'];

export function computeFor(context: CommandContext): Compute {
  const { env, signal } = context;
  const timeoutMs = computeTimeout(context);
  const token = env.KTX_DAEMON_TOKEN || undefined;
  const unmanaged = (baseUrl: string): Exchange => httpExchange({ baseUrl, token, timeoutMs, signal });
  const daemonUrl = httpUrl('KTX_DAEMON_URL', env.KTX_DAEMON_URL);
  const sqlUrl = httpUrl('KTX_SQL_ANALYSIS_URL', env.KTX_SQL_ANALYSIS_URL);
  const general = daemonUrl === undefined ? managedExchange(context, timeoutMs) : unmanaged(daemonUrl);
  if (sqlUrl === undefined) return computeOver(general);
  const sql = unmanaged(sqlUrl);
  return computeOver((operation, body) => (SQL_OPERATIONS.includes(operation) ? sql : general)(operation, body));
}

function managedExchange(context: CommandContext, timeoutMs: number): Exchange {
  const { signal } = context;
  const own = ownProcess(context, timeoutMs);
  let chosen: Promise<Exchange> | undefined;
  const choose = async (): Promise<Exchange> => {
    const daemon = await findManagedDaemon({ context });
    if (daemon === undefined) return own;
    return httpExchange({
      ...daemon,
      timeoutMs,
      signal,
      refresh: () => findManagedDaemon({ context }),
      fallback: own,
      note: context.terminal.note,
    });
  };
  return async (operation, body) => {
    if (operation === 'embed') return embedding(context, timeoutMs)(operation, body);
    chosen ??= choose();
    return (await chosen)(operation, body);
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
function ownProcess(context: CommandContext, timeoutMs: number): Exchange {
  const { signal } = context;
  let launch: ReturnType<typeof ensureRuntime> | undefined;
  let repaired = false;
  return async (operation, body) => {
    launch ??= ensureRuntime({ context });
    try {
      return await oneShotExchange(await launch, { timeoutMs, signal })(operation, body);
    } catch (error) {
      if (!isKtxError(error) || error.code !== 'runtime_unusable' || repaired) throw error;
      repaired = true;
      launch = ensureRuntime({ context, repair: true });
      return oneShotExchange(await launch, { timeoutMs, signal })(operation, body);
    }
  };
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
