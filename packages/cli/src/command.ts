/**
 * What a command receives and what it gives back.
 *
 * A command never prints its result and never exits: it returns an `Output`, and the frame in `main.ts` writes either
 * the text or, under `--json`, the document. Everything else (progress, notes, prompts) goes through `terminal`.
 */
import type { Terminal } from './terminal.ts';

export interface Globals {
  /** `--project-dir`, as typed. */
  readonly projectDir?: string;
  readonly json: boolean;
  readonly yes: boolean;
  /** False under `--no-input`. */
  readonly input: boolean;
  /** False under `--no-progress` or `KTX_NO_PROGRESS`. */
  readonly progress: boolean;
  readonly debug: boolean;
}

export type Environment = Readonly<Record<string, string | undefined>>;

export interface CommandContext {
  /** `sl query`, `runtime install` and so on. */
  readonly command: string;
  readonly globals: Globals;
  readonly env: Environment;
  readonly cwd: string;
  readonly terminal: Terminal;
  /** Aborted at the first SIGINT or SIGTERM, with an `Interrupted` as reason. */
  readonly signal: AbortSignal;
  /** How the user started ktx: printed commands begin with it. */
  readonly invocation: 'ktx' | 'npx @kaelio/ktx';
}

export interface Output {
  /** Written to stdout without `--json`; a missing final newline is added. */
  readonly text?: string;
  /** Written to stdout byte for byte, instead of `text`. */
  readonly bytes?: Uint8Array;
  /** The one document of `--json`. */
  readonly document?: unknown;
  /** 0 unless given: a result that is also a failure (`runtime status` of a missing runtime). */
  readonly exitCode?: number;
}

/** A command body: positional arguments and options as commander parsed them. */
export type Handler<Options = Record<string, unknown>> = (
  context: CommandContext,
  positionals: readonly string[],
  options: Options,
) => Promise<Output | undefined>;

/** On unless it is empty, `0`, `false`, `no` or `off`, in any case. */
export function switchedOn(value: string | undefined): boolean {
  return value !== undefined && !['', '0', 'false', 'no', 'off'].includes(value.trim().toLowerCase());
}
