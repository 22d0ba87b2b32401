/**
 * From one saved edit to the restaged tree, with `gulp watch` running, at two sizes of tree.
 *
 * The debounce is not counted: what is measured begins when the pass begins and ends when the tree is true again and
 * its digest is known. Each edit goes through the real watch, in this process, as a person's would.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { syntaxChecker } from '../tasks/python-syntax.ts';
import { type Pass, watch } from '../tasks/watch.ts';
import { printRows, type Row, summary } from './row.ts';
import { makeTree } from './trees.ts';

const EDITS = 15;
const SIZES = [
  { files: 25, atMost: 50 },
  { files: 10_000, atMost: 150 },
];

/** `python`: the interpreter that judges syntax, as it does in `gulp watch`. */
export async function benchWatching(python = process.env.UV_PYTHON ?? 'python3'): Promise<Row[]> {
  const base = mkdtempSync(join(tmpdir(), 'ktx-bench-'));
  try {
    const rows: Row[] = [];
    for (const { files, atMost } of SIZES)
      rows.push(...(await edits(join(base, String(files)), files, atMost, python)));
    return rows;
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
}

async function edits(base: string, files: number, atMost: number, python: string): Promise<Row[]> {
  mkdirSync(base);
  const root = makeTree(join(base, 'pkg'), files);
  const ending = new AbortController();
  let next = (_pass: Pass): void => {};
  const pass = () => new Promise<Pass>((resolve) => (next = resolve));
  const ready = pass();
  const running = watch({
    sources: async () => ({ trees: [{ root, module: 'pkg', origin: 'pkg', data: [] }], generated: [] }),
    inputs: [],
    out: join(base, 'out'),
    beside: join(base, 'beside'),
    log: { say: () => {}, warn: (text) => console.error(text) },
    syntax: syntaxChecker(python),
    onStaged: (done) => next(done),
    signal: ending.signal,
  });
  await Promise.race([ready, running]);
  const edited: number[] = [];
  const added: number[] = [];
  for (let i = 0; i <= EDITS; i++) {
    const edit = pass();
    writeFileSync(join(root, 'package_0', `module_${i}.py`), `value = ${i}\n`);
    const { milliseconds } = await edit;
    if (i > 0) edited.push(milliseconds); // the first one starts Python
  }
  for (let i = 0; i < EDITS; i++) {
    const addition = pass();
    writeFileSync(join(root, 'package_0', `added_${i}.py`), `value = ${i}\n`);
    added.push((await addition).milliseconds);
  }
  ending.abort();
  await running;
  const n = files.toLocaleString('en');
  return [
    summary(`one edit restaged, ${n} files`, edited, 'ms', atMost),
    summary(`one new file restaged, ${n} files`, added, 'ms'),
  ];
}

if (import.meta.main) printRows(await benchWatching());
