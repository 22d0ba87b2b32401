/** What a benchmark prints: figures measured side by side in one run, and the bound that each is held to. */
export interface Row {
  /** What was measured, for instance `stage 10,000 files / cp -r + sha256sum`. */
  readonly what: string;
  readonly value: number;
  /** `x` for a ratio. */
  readonly unit: 'ms' | 'MiB' | 'x';
  /** Largest value that is good enough. */
  readonly atMost?: number;
  /** Smallest to largest of the single runs, in the same unit. */
  readonly range?: readonly [number, number];
  readonly runs: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** One row of the median of `values`. */
export function summary(what: string, values: readonly number[], unit: Row['unit'], atMost?: number): Row {
  const range = [Math.min(...values), Math.max(...values)] as const;
  return { what, value: median(values), unit, range, runs: values.length, ...(atMost === undefined ? {} : { atMost }) };
}

export function printRows(rows: readonly Row[]): void {
  const digits = { ms: 1, MiB: 1, x: 2 };
  const width = Math.max(...rows.map(({ what }) => what.length));
  for (const { what, value, unit, atMost, range, runs } of rows) {
    const figure = `${value.toFixed(digits[unit])} ${unit}`.padStart(12);
    const between =
      range && runs > 1 ? `  ${range.map((v) => v.toFixed(digits[unit])).join(' to ')} in ${runs} runs` : '';
    const bound = atMost === undefined ? '' : `  ${value <= atMost ? 'good' : 'MISSED'}: at most ${atMost} ${unit}`;
    console.log(`${what.padEnd(width)}${figure}${bound}${between}`);
  }
}
