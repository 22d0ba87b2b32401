/**
 * Expected failures of the CLI: one message, one fix, no stack.
 *
 * `code` is stable and appears in `--json`; prose may improve. Errors of `@ktx/context` carry the same members and
 * are recognised by them, so the printing needs neither class.
 */

export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  readonly details?: unknown;
}

export class CliError extends Error implements Failure {
  override readonly name = 'KtxError';
  readonly code: string;
  declare readonly hint?: string;
  declare readonly details?: unknown;
  /** Set where a command line failed before its command could run. */
  command?: string;

  constructor(
    code: string,
    message: string,
    options: { readonly hint?: string; readonly details?: unknown; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    if (options.hint !== undefined) this.hint = options.hint;
    if (options.details !== undefined) this.details = options.details;
  }
}

/** A command line that cannot be carried out as written. */
export function usageError(message: string, hint?: string): CliError {
  return new CliError('usage', message, hint === undefined ? {} : { hint });
}

/** The user ended the run; `signal` decides between exit codes 130 and 143. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly signal: 'SIGINT' | 'SIGTERM';

  constructor(signal: 'SIGINT' | 'SIGTERM' = 'SIGINT') {
    super(signal === 'SIGINT' ? 'interrupted' : 'terminated');
    this.signal = signal;
  }

  get exitCode(): 130 | 143 {
    return this.signal === 'SIGINT' ? 130 : 143;
  }
}

/** An error made to be shown as it stands. */
export function isFailure(error: unknown): error is Error & Failure {
  return error instanceof Error && error.name === 'KtxError' && typeof (error as { code?: unknown }).code === 'string';
}

/** The text of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** `ENOENT` and its kin of a file-system error, else undefined. */
export function errnoOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}
