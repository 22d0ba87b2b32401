/**
 * The HTTP carrier: one request per operation to a daemon that is already running.
 *
 * A call that may have run is never repeated. What the daemon refuses for lack of room (503) waits as
 * it asks; a token that is no longer right is looked up once more.
 */
import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { isKtxError, KtxError } from '../errors.ts';
import { isRecord } from '../project/project.ts';
import { MAX_ONE_SHOT_BODY, tooLarge } from './one-shot.ts';
import { type Compute, type Exchange, OPERATIONS, type Operation } from './port.ts';
import { computeOver, excerpt, protocolError } from './respond.ts';

/** The daemon's limit for one body; larger ones go to a process of their own. */
export const MAX_HTTP_BODY = 16 * 1024 * 1024;
const MAX_RESPONSE = 64 * 1024 * 1024;
const MAX_ERROR_BODY = 64 * 1024;
const ADVICE_HEADER = 'ktx-error-details';

export interface Endpoint {
  /** `http://127.0.0.1:4711`, without a path. */
  readonly baseUrl: string;
  readonly token?: string | undefined;
}

export interface HttpOptions extends Endpoint {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Where the daemon is now, after a 401 or 403; undefined if there is none. */
  readonly refresh?: () => Promise<Endpoint | undefined>;
  /** Takes over bodies that are too large, and calls to a daemon that is gone. */
  readonly fallback?: Exchange;
  /** Told once, when `fallback` takes over from a daemon that is gone. */
  readonly note?: (line: string) => void;
}

/**
 * The compute port over a daemon.
 *
 * Errors: `daemon_unreachable`, `timeout`, `protocol_error`, and every code of the daemon's table.
 */
export function createHttpCompute(options: HttpOptions): Compute {
  return computeOver(httpExchange(options));
}

export function httpExchange(options: HttpOptions): Exchange {
  const { timeoutMs = 60_000, signal, refresh, fallback, note } = options;
  let endpoint: Endpoint = options;
  let gone = false;
  return async (operation, body) => {
    const payload = Buffer.from(JSON.stringify(body), 'utf8');
    if (payload.length > MAX_ONE_SHOT_BODY) throw tooLarge(operation, payload.length);
    const elsewhere = fallback !== undefined && operation !== 'embed' ? fallback : undefined;
    if (elsewhere !== undefined && (gone || payload.length > MAX_HTTP_BODY)) return elsewhere(operation, body);
    const deadline = performance.now() + timeoutMs;
    let renewed = false;
    for (;;) {
      let answer: Answer;
      try {
        answer = await post(endpoint, operation, payload, Math.max(1, deadline - performance.now()), signal);
      } catch (error) {
        if (!isKtxError(error) || error.code !== 'daemon_unreachable' || elsewhere === undefined) throw error;
        gone = true;
        note?.('The background daemon is gone; using a process of its own instead.');
        return elsewhere(operation, body);
      }
      if (answer.status === 503 && answer.retryAfterMs !== undefined) {
        if (performance.now() + answer.retryAfterMs < deadline) {
          await sleep(answer.retryAfterMs, undefined, signal === undefined ? {} : { signal });
          continue;
        }
      } else if ((answer.status === 401 || answer.status === 403) && refresh !== undefined && !renewed) {
        renewed = true;
        const next = await refresh();
        if (next !== undefined) {
          endpoint = next;
          continue;
        }
      }
      return outcome(operation, answer, endpoint);
    }
  };
}

interface Answer {
  readonly status: number;
  readonly body: Buffer;
  /** Given by a refusal that did nothing and may be tried again. */
  readonly retryAfterMs: number | undefined;
  /** Header of a refused query: what the one-shot error holds as `details`. */
  readonly advice: string | undefined;
}

function post(
  endpoint: Endpoint,
  operation: Operation,
  payload: Buffer,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<Answer> {
  const url = new URL(OPERATIONS[operation].route, `${endpoint.baseUrl.replace(/\/+$/, '')}/`);
  const secure = url.protocol === 'https:';
  // Importing these evaluates every export, and one of node:http's loads a second HTTP stack (20 ms at start).
  const { Agent, request: httpRequest } = process.getBuiltinModule('node:http');
  const { request: httpsRequest } = process.getBuiltinModule('node:https');
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    let connected = false;
    const request = (secure ? httpsRequest : httpRequest)(url, {
      method: 'POST',
      // A plain agent of our own: loopback is never sent through a proxy.
      ...(secure ? {} : { agent: new Agent({ keepAlive: false }) }),
      headers: {
        'content-type': 'application/json',
        'content-length': payload.length,
        accept: 'application/json',
        ...(endpoint.token ? { authorization: `Bearer ${endpoint.token}` } : {}),
      },
    });
    const timer = setTimeout(() => request.destroy(timedOut(operation, timeoutMs)), timeoutMs);
    const abort = (): void => void request.destroy(asError(signal?.reason));
    signal?.addEventListener('abort', abort, { once: true });
    const settle = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    };
    request.on('socket', (socket) =>
      socket.once('connect', () => {
        connected = true;
      }),
    );
    request.on('error', (error) => {
      settle();
      if (signal?.aborted) reject(signal.reason);
      else if (isKtxError(error)) reject(error);
      else reject(unreachable(endpoint, operation, error, connected));
    });
    request.on('response', (response) => {
      read(response, operation).then(
        (body) => {
          settle();
          const advice = response.headers[ADVICE_HEADER];
          resolve({
            status: response.statusCode ?? 0,
            body,
            retryAfterMs: retryAfter(response),
            advice: typeof advice === 'string' ? advice : undefined,
          });
        },
        (error: Error) => {
          request.destroy();
          settle();
          if (signal?.aborted) reject(signal.reason);
          else reject(isKtxError(error) ? error : unreachable(endpoint, operation, error, true));
        },
      );
    });
    request.end(payload);
  });
}

async function read(response: IncomingMessage, operation: Operation): Promise<Buffer> {
  const failed = (response.statusCode ?? 0) >= 400;
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (failed && size > MAX_ERROR_BODY) break;
    if (size > MAX_RESPONSE) throw protocolError(operation, 'it is larger than 64 MiB');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function outcome(operation: Operation, { status, body, advice }: Answer, endpoint: Endpoint): unknown {
  const text = body.toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    if (status >= 400) throw refusal(status, undefined, text, endpoint, advice);
    throw protocolError(operation, text.trim() === '' ? 'it is empty' : 'it is not one JSON document', { body: text });
  }
  if (status >= 400) throw refusal(status, value, text, endpoint, advice);
  if (status !== 200) throw protocolError(operation, `status ${status}`, { body: text });
  return value;
}

/** `{"detail", "code"}` as ours; anything else on that port is named by its status. */
function refusal(
  status: number,
  value: unknown,
  text: string,
  endpoint: Endpoint,
  advice: string | undefined,
): KtxError {
  const code = isRecord(value) && typeof value.code === 'string' ? value.code : `http_${status}`;
  const detail = isRecord(value) ? value.detail : undefined;
  const message =
    typeof detail === 'string' ? detail : Array.isArray(detail) ? detail.map(fieldProblem).join('; ') : excerpt(text);
  const hint =
    status === 401 || status === 403
      ? 'Check KTX_DAEMON_URL and KTX_DAEMON_TOKEN, or restart the daemon: "ktx runtime start --force".'
      : undefined;
  const shown = redacted(message || `HTTP status ${status}`, endpoint.token);
  return new KtxError(code, shown, { hint, details: { status, ...parsedAdvice(advice) } });
}

/** Whatever else answers on that port may send anything. */
function parsedAdvice(text: string | undefined): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text ?? '');
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

function fieldProblem(item: unknown): string {
  if (!isRecord(item)) return String(item);
  return `${Array.isArray(item.loc) ? `${item.loc.join('.')}: ` : ''}${String(item.msg)}`;
}

function redacted(text: string, token: string | undefined): string {
  const hidden = token ? text.replaceAll(token, '***') : text;
  return hidden
    .replace(/([a-z][a-z0-9+.-]*:\/\/[^\s:/?#@]*):[^\s@]+@/gi, '$1:***@')
    .replace(/(password=)[^\s&;]+/gi, '$1***');
}

function retryAfter(response: IncomingMessage): number | undefined {
  const seconds = Number(response.headers['retry-after']);
  return Number.isFinite(seconds) && seconds >= 0 && response.headers['retry-after'] !== undefined
    ? Math.min(seconds, 30) * 1000
    : undefined;
}

function unreachable(endpoint: Endpoint, operation: Operation, error: Error, connected: boolean): KtxError {
  const reason = (error as NodeJS.ErrnoException).code ?? error.message;
  if (connected) {
    return new KtxError(
      'connection_lost',
      `The daemon at ${endpoint.baseUrl} broke off during ${operation}: ${reason}.`,
      {
        hint: 'Run the command again; "ktx runtime status" shows whether the daemon is well.',
        cause: error,
      },
    );
  }
  return new KtxError('daemon_unreachable', `No daemon answers at ${endpoint.baseUrl}: ${reason}.`, {
    hint: 'Start it, or unset KTX_DAEMON_URL to let ktx manage its own.',
    cause: error,
  });
}

function timedOut(operation: Operation, timeoutMs: number): KtxError {
  return new KtxError('timeout', `The daemon did not finish ${operation} within ${Math.round(timeoutMs / 1000)} s.`, {
    hint: 'Ask for less at once, or give it longer: KTX_COMPUTE_TIMEOUT=300 (seconds).',
    details: { operation, timeoutMs },
  });
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
