/** Turns the end of a failed child into one message: what failed, its last lines, what to do, where the log is. */
import { CliError } from '../errors.ts';
import type { Ended } from './child.ts';

export interface FailedStep {
  /** Completes "could not …". */
  readonly doing: string;
  readonly ended: Ended;
  readonly log: string;
  readonly retry: string;
  /** Masks credentials. */
  readonly mask: (text: string) => string;
  readonly requiresPython: string;
  /** `needs 600 MB, 12 MB free`, asked only when the disk is full. */
  readonly space: () => Promise<string>;
}

interface Cause {
  readonly code: string;
  readonly pattern: RegExp;
  readonly hint: (step: FailedStep) => string | Promise<string>;
}

/** First match wins, so the more telling patterns come first. */
const CAUSES: readonly Cause[] = [
  {
    code: 'disk_full',
    pattern: /no space left on device|os error 28|ENOSPC|not enough space|disk quota exceeded/i,
    hint: async (step) =>
      `The disk is full: ${await step.space()}. Free some space, or set KTX_RUNTIME_ROOT (and UV_CACHE_DIR) to another disk. Then run: ${step.retry}`,
  },
  {
    code: 'hash_mismatch',
    pattern: /hash mismatch|hashes? (?:do|does) not match|no hashes? match|mismatched hash/i,
    hint: (step) =>
      `The package index serves other bytes than the ones this ktx was tested with; nothing was installed. Check the index or mirror (UV_DEFAULT_INDEX, UV_INDEX, uv.toml). Then run: ${step.retry}`,
  },
  {
    code: 'no_python',
    pattern:
      /no interpreter found|no download found|python downloads are (?:disabled|not allowed)|python .{0,80}not found|automatic downloads|failed to inspect python interpreter/i,
    hint: (step) =>
      `The runtime needs Python ${step.requiresPython}. Either let uv download one (unset UV_PYTHON_DOWNLOADS and KTX_OFFLINE), or install one and set KTX_PYTHON to it. Then run: ${step.retry}`,
  },
  {
    code: 'offline',
    pattern: /network connectivity is disabled|--offline|not found in the cache/i,
    hint: (step) =>
      `KTX_OFFLINE or UV_OFFLINE is set and the cache of uv lacks some packages. Run once with network, or point UV_CACHE_DIR to a filled cache. Then run: ${step.retry}`,
  },
  {
    code: 'network',
    pattern:
      /error sending request|failed to fetch|failed to download|could not connect|connection (?:refused|reset|timed out)|dns error|tls|certificate|timed out|network is unreachable|request failed after/i,
    hint: (step) =>
      `The package index could not be reached. Behind a proxy set HTTPS_PROXY, with a mirror set UV_DEFAULT_INDEX, with a private certificate set SSL_CERT_FILE; a filled cache (UV_CACHE_DIR) works with KTX_OFFLINE=1. Then run: ${step.retry}`,
  },
];

export async function stepFailure(step: FailedStep): Promise<CliError> {
  const { ended } = step;
  const tail = ended.tail.map(step.mask);
  const text = tail.join('\n');
  const cause = CAUSES.find(({ pattern }) => pattern.test(text));
  const message = [`could not ${step.doing}: ${ending(ended)}`, ...tail.map((line) => `  | ${line}`)].join('\n');
  const hint = `${(await cause?.hint(step)) ?? `Run again: ${step.retry}`}\nThe whole output is in ${step.log}`;
  const details = { exitCode: ended.code, signal: ended.signal, log: step.log, tail };
  return new CliError(cause?.code ?? 'install_failed', message, { hint, details });
}

function ending(ended: Ended): string {
  if (ended.spawnError !== undefined) return `it cannot be started (${ended.spawnError})`;
  if (ended.timedOut) return 'it took longer than KTX_INSTALL_TIMEOUT allows and was ended';
  return ended.code === null ? `it was ended by ${ended.signal}` : `exit code ${ended.code}`;
}
