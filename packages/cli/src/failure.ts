/** How a failure looks: a message with its fix on stderr, or the one document of `--json`. */
import { styleText } from 'node:util';
import { asRefusal, Interrupted, isFailure, messageOf } from './errors.ts';
import { asTyped, invocationOf } from './invocation.ts';

export interface FailureDocument {
  readonly kind: 'error';
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly hint?: string;
    readonly details?: unknown;
  };
  readonly meta: { readonly command: string };
}

export function failureDocument(error: unknown, command: string): FailureDocument {
  return { kind: 'error', error: described(error), meta: { command } };
}

/** The stderr text of a failure; the stack and the causes only with `--debug`. */
export function printedFailure(error: unknown, debug: boolean, colour: boolean): string {
  const { message, hint } = described(error);
  const label = colour ? styleText('red', 'error:', { validateStream: false }) : 'error:';
  const lines = [`${label} ${message}`];
  if (hint !== undefined) lines.push(indented(hint));
  if (debug) lines.push(...stacks(error));
  return `${lines.join('\n')}\n`;
}

function described(thrown: unknown): FailureDocument['error'] {
  if (thrown instanceof Interrupted) return { code: 'interrupted', message: thrown.message };
  const error = isFailure(thrown) ? thrown : (asRefusal(thrown) ?? thrown);
  if (isFailure(error)) {
    const { code, message, details } = error;
    const hint = error.hint === undefined ? undefined : asTyped(error.hint, invocationOf(process.env));
    return { code, message, ...(hint === undefined ? {} : { hint }), ...(details === undefined ? {} : { details }) };
  }
  return {
    code: 'internal_error',
    message: messageOf(error),
    hint: 'This is unexpected. Run again with --debug to see where it happened.',
  };
}

function indented(text: string): string {
  return text
    .split('\n')
    .map((line) => (line === '' ? '' : `  ${line}`))
    .join('\n');
}

function stacks(error: unknown): string[] {
  const lines: string[] = [];
  for (let at: unknown = error; at instanceof Error; at = at.cause) lines.push(at.stack ?? String(at));
  return lines;
}
