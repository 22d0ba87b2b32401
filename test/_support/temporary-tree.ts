/** Real trees in directories of their own, gone when the test ends. */
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';

/** A file's content, a link's target, or `null` for an empty folder. */
export type TreeEntry = string | Uint8Array | { readonly link: string } | null;

/** Make a new folder holding `entries`, by path relative to it. Returns its absolute path. */
export async function temporaryTree(
  t: ExecutionContext<unknown>,
  entries: Record<string, TreeEntry> = {},
): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'ktx-tree-'));
  t.teardown(async () => rm(root, { recursive: true, force: true }));
  await chmod(root, 0o755);
  await plant(root, entries);
  return root;
}

/** Add `entries` to an existing folder. */
export async function plant(root: string, entries: Record<string, TreeEntry>): Promise<void> {
  for (const [path, entry] of Object.entries(entries)) {
    const target = join(root, path);
    await mkdir(entry === null ? target : dirname(target), { recursive: true });
    if (entry === null) continue;
    if (typeof entry === 'string' || entry instanceof Uint8Array) await writeFile(target, entry);
    else await symlink(entry.link, target);
  }
}
