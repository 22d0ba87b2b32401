/**
 * Builds what the npm package carries beside its metadata: `node packages/context/build.ts --out <dir>`.
 *
 * Writes `dist/**` into an empty or absent directory: one ESM bundle with code splitting, its declarations, and the
 * licence notices of what was bundled. Equal sources give equal bytes: no path of the machine, no date, no source map.
 */
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { build, type Metafile } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, '..', '..');

export async function buildContext(out: string): Promise<void> {
  await mkdir(out, { recursive: true });
  if ((await readdir(out)).length > 0) throw new Error(`${out} is not empty; give an empty or absent directory`);
  const dist = join(out, 'dist');
  await Promise.all([bundle(dist), declare(dist)]);
}

async function bundle(dist: string): Promise<void> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: { index: join(here, 'src', 'index.ts') },
    outdir: dist,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node22.18',
    chunkNames: '[name]-[hash]',
    external: ['@duckdb/node-api', 'pg-native', 'pg-cloudflare'],
    legalComments: 'none',
    sourcemap: false,
    // CommonJS libraries in the bundle ask for Node's own modules through `require`.
    banner: { js: "import{createRequire as nodeRequire}from'node:module';const require=nodeRequire(import.meta.url);" },
    metafile: true,
    logLevel: 'warning',
  });
  await writeFile(join(dist, 'THIRD-PARTY-NOTICES.txt'), await notices(metafile));
}

/** The licence texts of every library whose code is in the bundle, sorted by name. */
async function notices({ inputs }: Metafile): Promise<string> {
  const folders = new Set(
    Object.keys(inputs).flatMap((input) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0] ?? []),
  );
  const entries: string[] = [];
  for (const folder of [...folders].sort()) {
    const { name, version, license } = JSON.parse(await readFile(join(root, folder, 'package.json'), 'utf8'));
    const file = (await readdir(join(root, folder))).sort().find((entry) => /^licen[cs]e/i.test(entry));
    const text = file === undefined ? `Licence: ${license}` : (await readFile(join(root, folder, file), 'utf8')).trim();
    entries.push(`${name} ${version} (${license})\n\n${text.replaceAll('\r\n', '\n')}\n`);
  }
  return `@ktx/context contains code of the following libraries.\n\n${entries.join(`\n${'-'.repeat(80)}\n\n`)}`;
}

/** Declarations by the compiler, with the options of the workspace. */
async function declare(dist: string): Promise<void> {
  const { compilerOptions } = JSON.parse(await readFile(join(root, 'tsconfig.json'), 'utf8'));
  const { noEmit: _noEmit, allowImportingTsExtensions: _extensions, types: _types, ...options } = compilerOptions;
  const flags = Object.entries({
    ...options,
    declaration: true,
    emitDeclarationOnly: true,
    rewriteRelativeImportExtensions: true,
    rootDir: join(here, 'src'),
    outDir: dist,
    types: 'node',
  }).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const typescript = createRequire(import.meta.url).resolve('typescript/package.json');
  const { bin } = JSON.parse(await readFile(typescript, 'utf8'));
  const compiler = join(dirname(typescript), bin.tsc);
  await promisify(execFile)(process.execPath, [compiler, '--ignoreConfig', ...flags, join(here, 'src', 'index.ts')], {
    cwd: root,
  }).catch((error: { stdout?: string }) => {
    throw new Error(`the declarations cannot be written:\n${error.stdout ?? error}`);
  });
}

if (import.meta.main ?? process.argv[1] === fileURLToPath(import.meta.url)) {
  const { out } = parseArgs({ options: { out: { type: 'string' } } }).values;
  if (out === undefined) {
    process.stderr.write('usage: node packages/context/build.ts --out <dir>\n');
    process.exitCode = 1;
  } else {
    await buildContext(resolve(out));
  }
}
