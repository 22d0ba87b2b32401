/**
 * Asks a daemon on loopback. A plain agent, so that no proxy setting reaches it; bounded in time and size, because
 * whoever listens there may be anybody.
 */
import { errnoOf } from '../errors.ts';

export interface Answer {
  readonly status: number;
  /** Parsed JSON, or undefined. */
  readonly body: unknown;
}

/** `refused`: nobody listens. `mute`: it listens or hangs, and does not answer in time. */
export type Reply = Answer | 'refused' | 'mute';

const CONNECT_MS = 1_500;
const TOTAL_MS = 2_500;
const BODY_BYTES = 64 * 1024;

export interface Question {
  readonly host: string;
  readonly port: number;
  readonly path: '/info' | '/health' | '/shutdown';
  readonly method?: 'GET' | 'POST';
  readonly token?: string;
}

export async function askDaemon({ host, port, path, method = 'GET', token }: Question): Promise<Reply> {
  // Most commands find no record and never ask; the client costs them a third of their start.
  const { Agent, request } = await import('node:http');
  return await new Promise((resolve) => {
    const agent = new Agent({ keepAlive: false });
    const headers: Record<string, string> = { accept: 'application/json', connection: 'close' };
    if (token !== undefined) headers.authorization = `Bearer ${token}`;
    if (method === 'POST') headers['content-type'] = 'application/json';
    const asked = request({ agent, host, port, path, method, headers });
    const finish = (reply: Reply): void => {
      clearTimeout(connecting);
      clearTimeout(total);
      asked.destroy();
      resolve(reply);
    };
    const connecting = setTimeout(() => finish('mute'), CONNECT_MS);
    const total = setTimeout(() => finish('mute'), TOTAL_MS);
    asked.on('socket', (socket) => socket.once('connect', () => clearTimeout(connecting)));
    asked.on('error', (error) => finish(errnoOf(error) === 'ECONNREFUSED' ? 'refused' : 'mute'));
    asked.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > BODY_BYTES) finish({ status: response.statusCode ?? 0, body: undefined });
      });
      response.on('error', () => finish('mute'));
      response.on('end', () => finish({ status: response.statusCode ?? 0, body: parsed(text) }));
    });
    asked.end(method === 'POST' ? '{}' : undefined);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
