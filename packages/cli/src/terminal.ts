/**
 * The terminal: what is a TTY, who may be asked, where notes go.
 *
 * stdout belongs to results; everything written here goes to stderr. Colour needs a TTY on the stream it is written
 * to and no `NO_COLOR`. A person may be asked only when both stdin and stderr are terminals and this is not CI.
 */
import { styleText } from 'node:util';
import type { Environment, Globals } from './command.ts';
import { switchedOn } from './command.ts';
import type { Step } from './progress.ts';

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

export interface Terminal {
  /** The result goes to a terminal. */
  readonly stdoutTty: boolean;
  readonly stderrTty: boolean;
  /** stdin and stderr are terminals and `CI` is off: a question can be answered. */
  readonly interactive: boolean;
  /** Width of stdout in columns; 80 when it is no terminal. */
  readonly columns: number;
  /** Styles text meant for stdout. */
  readonly paint: (style: Style, text: string) => string;
  /** Styles text meant for stderr. */
  readonly paintNote: (style: Style, text: string) => string;
  /** One line of progress or advice on stderr. */
  readonly note: (line: string) => void;
  /** `warning: …` on stderr. */
  readonly warn: (line: string) => void;
  /** A phase: a spinner on a TTY, else one line when it starts. */
  readonly step: (title: string) => Promise<Step>;
}

export interface Streams {
  readonly stdin: { readonly isTTY?: boolean };
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
}

export function terminal(streams: Streams, env: Environment, globals: Globals): Terminal {
  const { stdin, stdout, stderr } = streams;
  const colour = (env.NO_COLOR ?? '') === '';
  const painter =
    (tty: boolean) =>
    (style: Style, text: string): string =>
      tty && colour ? styleText(style, text, { validateStream: false }) : text;
  const paintNote = painter(stderr.isTTY === true);
  const line = (text: string): void => void stderr.write(`${text}\n`);
  const animated = stderr.isTTY === true && globals.progress && !switchedOn(env.CI) && env.TERM !== 'dumb';
  return {
    stdoutTty: stdout.isTTY === true,
    stderrTty: stderr.isTTY === true,
    interactive: stdin.isTTY === true && stderr.isTTY === true && !switchedOn(env.CI),
    columns: stdout.isTTY === true && stdout.columns > 0 ? stdout.columns : 80,
    paint: painter(stdout.isTTY === true),
    paintNote,
    note: line,
    warn: (text) => line(`${paintNote('yellow', 'warning:')} ${text}`),
    step: async (title) => {
      const { animatedStep, plainStep } = await import('./progress.ts');
      return animated ? animatedStep(title, stderr, colour) : plainStep(title, globals.progress ? line : () => {});
    },
  };
}
