/**
 * The one expected failure of this package. Callers tell refusals from crashes by the class:
 * a `KtxError` is shown as its message and hint, anything else is a defect and keeps its stack.
 */

export interface KtxErrorOptions {
  /** What to do next, as a sentence or a command that works when typed. */
  readonly hint?: string | undefined;
  /** Data for machines: it is shown under `--json` only, so it never holds secrets. */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  readonly cause?: unknown;
}

export class KtxError extends Error {
  override readonly name = 'KtxError';
  /** Stable, lower-case with underscores; the message may improve, the code may not. */
  readonly code: string;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(code: string, message: string, options: KtxErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.details = options.details;
  }
}

/** True for our own error, also when a second copy of this module was bundled. */
export function isKtxError(value: unknown): value is KtxError {
  return value instanceof KtxError || (value instanceof Error && value.name === 'KtxError' && 'code' in value);
}
