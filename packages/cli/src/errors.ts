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

const REFUSALS: Readonly<Record<string, readonly [problem: string, hint: string]>> = {
  ENOSPC: ['no space is left on the disk', 'Free some space there, then run the command again.'],
  EDQUOT: ['your quota of that disk is used up', 'Free some space there, then run the command again.'],
  EROFS: ['the file system is read-only', 'Make it writable, or work in a directory that is.'],
  EACCES: ['permission is denied', 'Check the owner and the mode of the file and of the directories above it.'],
  EPERM: ['the system does not permit it', 'Check the owner and the mode of the file and of the directories above it.'],
  EMFILE: ['too many files are open', 'Raise the limit of open files (ulimit -n), then run the command again.'],
  ENFILE: ['too many files are open on this machine', 'Close other programs, then run the command again.'],
};

/**
 * What the operating system refuses to anyone is no defect of ours: told with the file, if it is one of those.
 * `path` is the file that was to be written, where the system names another.
 */
export function asRefusal(error: unknown, path?: string): CliError | undefined {
  const refusal = REFUSALS[errnoOf(error) ?? ''];
  const { syscall, path: at } = (error ?? {}) as { syscall?: unknown; path?: unknown };
  if (refusal === undefined || typeof syscall !== 'string') return undefined;
  const [problem, hint] = refusal;
  const where = path ?? (typeof at === 'string' ? at : undefined);
  const reading = /^(?:read|scandir|stat|lstat|access)$/.test(syscall);
  const verb = path !== undefined || !(reading || syscall === 'open') ? 'written' : reading ? 'read' : 'opened';
  const subject = where === undefined ? `cannot ${syscall}` : `${where} cannot be ${verb}`;
  const details = { errno: errnoOf(error), ...(where === undefined ? {} : { path: where }) };
  return new CliError('file_system', `${subject}: ${problem}`, { hint, details, cause: error });
}

/** The reason alone, for a message that names its own subject. */
export function reasonOf(error: unknown): string {
  return REFUSALS[errnoOf(error) ?? '']?.[0] ?? messageOf(error);
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
