/** What is wrong with one tree: collected, so that its owner hears of ten faults at once and not of one a run. */
import { BuildError } from '../errors.ts';

const SHOWN = 10;

export class Problems {
  readonly #origin: string;
  readonly #shown: { path: string; reason: string; hint: string }[] = [];
  #count = 0;
  #changed = false;

  /** `origin`: the tree as the repository names it, for instance `python/ktx-sl/semantic_layer`. */
  constructor(origin: string) {
    this.#origin = origin;
  }

  get any(): boolean {
    return this.#count > 0;
  }

  /** `path` is relative to the tree; the empty path is the tree itself. */
  add(path: string, reason: string, hint: string): void {
    this.#count += 1;
    if (this.#shown.length < SHOWN) this.#shown.push({ path, reason, hint });
  }

  /** A file that is not what it was when it was listed: nothing is wrong with it, but the run has to start again. */
  addChanged(path: string, reason: string): void {
    this.#changed = true;
    this.add(path, reason, 'Run again when nothing else writes to the tree.');
  }

  error(cause?: unknown): BuildError {
    const options = cause === undefined ? undefined : { cause };
    const [first] = this.#shown;
    const code = this.#changed ? 'TreeChanged' : 'RefusedEntry';
    const hints = [...new Set(this.#shown.map(({ hint }) => hint))].join('\n  ');
    if (first && this.#count === 1)
      return new BuildError(code, `${this.#name(first.path)} ${first.reason}.`, hints, options);
    const lines = this.#shown.map(({ path, reason }) => `  ${this.#name(path)} ${reason}`);
    if (this.#count > SHOWN) lines.push(`  and ${this.#count - SHOWN} more`);
    return new BuildError(code, `${this.#origin} cannot be staged:\n${lines.join('\n')}`, hints, options);
  }

  #name(path: string): string {
    return visible(path === '' ? this.#origin : `${this.#origin}/${path}`);
  }
}

/** A path as a terminal shows it without harm: control characters and decomposed letters are written as escapes. */
export function visible(path: string): string {
  const plain = path === path.normalize('NFC') && !/[\p{Cc}\p{Cf}\p{Cs}\ufffd]/u.test(path);
  if (plain) return path;
  return path.replace(
    /[\p{Cc}\p{Cf}\p{Cs}\p{M}\ufffd]/gu,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
