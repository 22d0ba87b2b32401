/**
 * Progress of one phase on stderr.
 *
 * On a terminal a spinner on one line; elsewhere one line when the phase starts, so that logs of CI stay short. The
 * spinner of @clack/prompts is not used: it takes stdin in raw mode and exits with 0 on Ctrl-C, and here Ctrl-C must
 * reach the whole process group and end with 130.
 */
import { styleText } from 'node:util';

export interface Step {
  /** Replaces the text of the spinner; silent elsewhere. */
  readonly update: (text: string) => void;
  /** Tells a waiting person something in either mode. */
  readonly say: (text: string) => void;
  readonly done: (text?: string) => void;
  readonly failed: (text?: string) => void;
}

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const HIDE = '\u001b[?25l';
const SHOW = '\u001b[?25h';
const CLEAR = '\r\u001b[2K';

export function plainStep(title: string, line: (text: string) => void): Step {
  line(title);
  return {
    update: () => {},
    say: line,
    done: (text) => (text === undefined ? undefined : line(text)),
    failed: () => {},
  };
}

export function animatedStep(title: string, output: NodeJS.WriteStream, colour: boolean): Step {
  let text = title;
  let frame = 0;
  let live = true;
  const style = (name: 'cyan' | 'green' | 'red', symbol: string): string =>
    colour ? styleText(name, symbol, { validateStream: false }) : symbol;
  const draw = (): void => {
    frame = (frame + 1) % FRAMES.length;
    output.write(`${CLEAR}${style('cyan', FRAMES[frame] ?? '')} ${clipped(text, output.columns)}`);
  };
  const showCursor = (): void => void output.write(SHOW);
  const timer = setInterval(draw, 80);
  timer.unref();
  process.once('exit', showCursor);
  output.write(HIDE);
  draw();
  const end = (symbol: string, last: string): void => {
    if (!live) return;
    live = false;
    clearInterval(timer);
    process.removeListener('exit', showCursor);
    output.write(`${CLEAR}${symbol} ${last}\n${SHOW}`);
  };
  return {
    update: (next) => {
      text = next;
    },
    say: (next) => {
      if (live) output.write(`${CLEAR}${style('cyan', '│')} ${next}\n`);
    },
    done: (last) => end(style('green', '✔'), last ?? text),
    failed: (last) => end(style('red', '✖'), last ?? text),
  };
}

/** One terminal line: a wrapped spinner could not be erased. */
function clipped(text: string, columns: number): string {
  const room = Math.max(10, (columns || 80) - 4);
  return text.length > room ? `${text.slice(0, room - 1)}…` : text;
}
