/**
 * A copy of a checkout that the real graph can build: its tracked and new files,
 * the installed packages as hard links, the tools as they were found.
 */
import { execFile } from 'node:child_process';
import { chmod, copyFile, cp, lstat, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

export interface CopyOptions {
  /** Leave out what this is true of, by path relative to the checkout. */
  readonly skip?: (path: string) => boolean;
  /** Write in the opposite order and for the owner's eyes only. */
  readonly unlike?: boolean;
}

/** Copy the checkout at `from` to the new folder `to`. */
export async function copyCheckout(from: string, to: string, options: CopyOptions = {}): Promise<void> {
  const { skip = () => false, unlike = false } = options;
  const paths = (await sourceFiles(from)).filter((path) => !skip(path));
  for (const path of unlike ? paths.reverse() : paths) await copySource(join(from, path), join(to, path), unlike);
  await linkPackages(from, to);
  await symlink(join(from, '.venv'), join(to, '.venv'));
  await mkdir(join(to, '.tools'));
  await cp(join(from, '.tools', 'toolchain.json'), join(to, '.tools', 'toolchain.json'));
}

/** Let git in the copy see the commits of the checkout; nothing of it is written to. */
export async function shareRepository(from: string, to: string): Promise<void> {
  const { stdout } = await execute('git', ['-c', `safe.directory=${from}`, 'rev-parse', '--absolute-git-dir'], {
    cwd: from,
  });
  await writeFile(join(to, '.git'), `gitdir: ${stdout.trim()}\n`);
}

/** Tracked files, and new ones that no ignore rule covers; sorted. */
async function sourceFiles(root: string): Promise<string[]> {
  const list = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const { stdout } = await execute('git', ['-c', `safe.directory=${root}`, ...list], {
    cwd: root,
    maxBuffer: 64 * 1024 * 1024,
  });
  return [...new Set(stdout.split('\0'))].filter((path) => path !== '').sort();
}

async function copySource(from: string, to: string, unlike: boolean): Promise<void> {
  const stat = await lstat(from).catch((error) => {
    if (error.code !== 'ENOENT') throw error; // deleted in the working tree
  });
  if (!stat) return;
  await mkdir(dirname(to), { recursive: true, ...(unlike && { mode: 0o700 }) });
  if (!stat.isFile()) return cp(from, to, { verbatimSymlinks: true });
  await copyFile(from, to);
  await chmod(to, unlike ? stat.mode & 0o700 : stat.mode);
}

/** Hard links: real paths inside the copy, as after `npm ci`, without its size. */
async function linkPackages(from: string, to: string): Promise<void> {
  const [source, target] = [join(from, 'node_modules'), join(to, 'node_modules')];
  await execute('cp', ['-al', source, target]).catch(async () => {
    await rm(target, { recursive: true, force: true });
    await cp(source, target, { recursive: true, verbatimSymlinks: true });
  });
}
