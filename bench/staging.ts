/**
 * Staging, side by side with `cp -r` + `sha256sum` and with a plain vinyl-fs pipe, over growing trees; and its memory.
 *
 * The three take turns within one run on one file system, so that what else the machine does falls on all of them.
 * Peak memory is that of a child process that stages once.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import vfs from 'vinyl-fs';
import { stageTrees } from '../tasks/stage-tree.ts';
import { printRows, type Row, summary } from './row.ts';
import { makeTree } from './trees.ts';

const run = promisify(execFile);

/** Files of a tree, and how often it is staged. The plain pipe is the slow one, and gets no more than `pipes` runs. */
const SIZES = [
  { files: 25, runs: 15, pipes: 15 },
  { files: 1_000, runs: 9, pipes: 5 },
  { files: 10_000, runs: 7, pipes: 3 },
  { files: 100_000, runs: 3, pipes: 1 },
];

/** `most`: leaves out larger trees, and with them the figures of memory. */
export async function benchStaging(most = Number.POSITIVE_INFINITY): Promise<Row[]> {
  const base = mkdtempSync(join(tmpdir(), 'ktx-bench-'));
  try {
    const rows: Row[] = [];
    const peaks = new Map<number, number>();
    for (const { files, runs, pipes } of SIZES.filter((size) => size.files <= most)) {
      const root = makeTree(join(base, `tree-${files}`), files);
      rows.push(...(await compare(files, root, join(base, 'out'), runs, pipes)));
      if (files === 1_000 || files === 100_000) peaks.set(files, await peakMemory(root, join(base, 'out')));
      rmSync(root, { recursive: true });
    }
    return peaks.size < 2 ? rows : [...rows, ...memoryRows(peaks), ...(await largeFile(base))];
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
}

async function compare(files: number, root: string, out: string, runs: number, pipes: number): Promise<Row[]> {
  const staged: number[] = [];
  const copied: number[] = [];
  const piped: number[] = [];
  await timed(out, () => stage(root, out)); // compile what is measured
  for (let i = 0; i < runs; i++) {
    const contest = [
      async () => staged.push(await timed(out, () => stage(root, out))),
      async () => copied.push(await timed(out, () => copyAndHash(root, out))),
      async () => i < pipes && piped.push(await timed(out, () => pipe(root, out))),
    ];
    // Each goes first in turn, as the first one pays for what the last one left to be written back.
    for (let k = 0; k < contest.length; k++) await contest[(i + k) % contest.length]?.();
  }
  const n = files.toLocaleString('en');
  const [ours, theirs, plain] = [
    summary(`stage ${n} files`, staged, 'ms'),
    summary(`cp -r + sha256sum, ${n} files`, copied, 'ms'),
    summary(`vinyl-fs src to dest, ${n} files`, piped, 'ms'),
  ] as const;
  const bounded = files === 10_000;
  return [
    ours,
    theirs,
    plain,
    {
      what: `stage / cp -r + sha256sum, ${n} files`,
      value: ours.value / theirs.value,
      unit: 'x',
      runs,
      ...(bounded ? { atMost: 1.5 } : {}),
    },
    {
      what: `stage / vinyl-fs, ${n} files`,
      value: ours.value / plain.value,
      unit: 'x',
      runs: pipes,
      ...(bounded ? { atMost: 0.25 } : {}),
    },
  ];
}

function memoryRows(peaks: Map<number, number>): Row[] {
  const small = peaks.get(1_000) as number;
  const large = peaks.get(100_000) as number;
  return [
    { what: 'peak memory, 1,000 files', value: small, unit: 'MiB', runs: 1 },
    { what: 'peak memory, 100,000 files', value: large, unit: 'MiB', runs: 1 },
    { what: 'peak memory, 100,000 / 1,000 files', value: large / small, unit: 'x', atMost: 1.3, runs: 1 },
  ];
}

async function largeFile(base: string): Promise<Row[]> {
  const root = makeTree(join(base, 'large'), 1);
  const small = await peakMemory(root, join(base, 'out'));
  writeFileSync(join(root, 'large.bin'), '');
  truncateSync(join(root, 'large.bin'), 2 * 1024 ** 3);
  const large = await peakMemory(root, join(base, 'out'));
  return [{ what: 'peak memory, one file of 2 GiB / of 8 KiB', value: large / small, unit: 'x', atMost: 1.3, runs: 1 }];
}

async function timed(out: string, action: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await action();
  const took = performance.now() - start;
  rmSync(out, { recursive: true });
  return took;
}

const stage = (root: string, out: string) =>
  stageTrees({ trees: [{ root, module: 'pkg', origin: 'pkg', data: ['*.bin'] }], generated: [], out });

const copyAndHash = (root: string, out: string) =>
  run('sh', ['-c', 'cp -r "$1" "$2" && find "$2" -type f -exec sha256sum {} + > /dev/null', 'sh', root, out]);

const pipe = (root: string, out: string) =>
  pipeline(
    vfs.src('**/*', { cwd: root, cwdbase: true, dot: true, encoding: false, resolveSymlinks: false }),
    vfs.dest(out),
  );

/** Peak resident memory in MiB of a process that stages `root` once. */
async function peakMemory(root: string, out: string): Promise<number> {
  const { stdout } = await run(process.execPath, [import.meta.filename, 'peak', root, out]);
  rmSync(out, { recursive: true });
  return Number(stdout) / 1024;
}

if (import.meta.main) {
  const [command, root, out] = process.argv.slice(2);
  if (command === 'peak' && root && out) {
    await stage(root, out);
    console.log(process.resourceUsage().maxRSS);
  } else {
    printRows(await benchStaging(command === undefined ? undefined : Number(command)));
  }
}
