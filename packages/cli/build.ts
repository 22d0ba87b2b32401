/**
 * Builds what the npm package carries beside its metadata: `node packages/cli/build.ts --out <dir>`.
 *
 * Writes `dist/**` (one bundle with code splitting, and the licence notices of what was bundled) and `assets/demo/**`
 * into an empty or absent directory, and nothing anywhere else. Equal sources give equal bytes: no path of the
 * machine, no date and no source map enters.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build, type Metafile } from 'esbuild';
import { writeDemoDatabase } from './src/demo/database.ts';

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, '..', '..');

export async function buildCli(out: string): Promise<void> {
  await demandEmpty(out);
  const dist = join(out, 'dist');
  await bundleEntry(dist);
  const metafile = await bundleMain(dist);
  await writeFile(join(dist, 'THIRD-PARTY-NOTICES.txt'), await notices(metafile));
  await writeDemo(join(out, 'assets', 'demo'));
}

/** `bin.js` stands alone, in syntax that old Nodes parse, so that its version check can speak. */
async function bundleEntry(dist: string): Promise<void> {
  await build({
    absWorkingDir: root,
    entryPoints: { bin: join(here, 'src', 'bin.ts') },
    outdir: dist,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'es2017',
    supported: { 'dynamic-import': true },
    plugins: [
      {
        name: 'main-stays-outside',
        setup: ({ onResolve }) =>
          onResolve({ filter: /^\.\/main\.ts$/ }, () => ({ path: './main.js', external: true })),
      },
    ],
    logLevel: 'warning',
  });
}

async function bundleMain(dist: string): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: { main: join(here, 'src', 'main.ts') },
    outdir: dist,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node22.18',
    // Flat: a chunk finds the package root one folder above itself, as a source file does.
    chunkNames: '[name]-[hash]',
    external: ['@duckdb/node-api', 'pg-native', 'pg-cloudflare'],
    // Names stay readable in stacks of --debug; white space does not pay for itself in a package.
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'none',
    sourcemap: false,
    // CommonJS libraries in the bundle ask for Node's own modules through `require`.
    banner: { js: "import{createRequire as nodeRequire}from'node:module';const require=nodeRequire(import.meta.url);" },
    metafile: true,
    logLevel: 'warning',
  });
  return metafile;
}

/** The licence texts of every library whose code is in the bundle, sorted by name. */
async function notices(metafile: Metafile): Promise<string> {
  const folders = new Set(Object.keys(metafile.inputs).flatMap(libraryFolder));
  const entries: string[] = [];
  for (const folder of [...folders].sort()) {
    const { name, version, license } = JSON.parse(await readFile(join(root, folder, 'package.json'), 'utf8'));
    const file = (await readdir(join(root, folder))).sort().find((entry) => /^licen[cs]e/i.test(entry));
    const text = file === undefined ? `Licence: ${license}` : (await readFile(join(root, folder, file), 'utf8')).trim();
    entries.push(`${name} ${version} (${license})\n\n${text.replaceAll('\r\n', '\n')}\n`);
  }
  return `@kaelio/ktx contains code of the following libraries.\n\n${entries.join(`\n${'-'.repeat(80)}\n\n`)}`;
}

/** `node_modules/@scope/name` of an input path, if it is a library's. */
function libraryFolder(input: string): string[] {
  const match = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input);
  return match === null ? [] : [match[0]];
}

async function writeDemo(target: string): Promise<void> {
  const committed = join(here, 'assets', 'demo');
  for (const file of await filesUnder(committed)) {
    const path = relative(committed, file).split(sep);
    if (path[0] === 'data') continue; // generated below
    await mkdir(dirname(join(target, ...path)), { recursive: true });
    await writeFile(join(target, ...path), await readFile(file));
  }
  writeDemoDatabase(join(target, 'data', 'harbor.sqlite'));
}

async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

async function demandEmpty(out: string): Promise<void> {
  await mkdir(out, { recursive: true });
  if ((await readdir(out)).length > 0) throw new Error(`${out} is not empty; give an empty or absent directory`);
}

if (import.meta.main ?? process.argv[1] === fileURLToPath(import.meta.url)) {
  const { out } = parseArgs({ options: { out: { type: 'string' } } }).values;
  if (out === undefined) {
    process.stderr.write('usage: node packages/cli/build.ts --out <dir>\n');
    process.exitCode = 1;
  } else {
    await buildCli(resolve(out));
  }
}
