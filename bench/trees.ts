/** Trees to measure on: folders of a hundred modules of 8 KiB, no two of them equal. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const FILE_BYTES = 8192;
const FILES_IN_A_FOLDER = 100;

/** Makes `root`, which must not exist yet, and returns it. */
export function makeTree(root: string, files: number): string {
  const content = Buffer.alloc(FILE_BYTES, 'value = 1\n');
  mkdirSync(root);
  writeFileSync(join(root, '__init__.py'), '');
  for (let i = 0; i < files; i++) {
    const folder = join(root, `package_${Math.floor(i / FILES_IN_A_FOLDER)}`);
    if (i % FILES_IN_A_FOLDER === 0) mkdirSync(folder);
    content.write(`# ${String(i).padStart(7)}`);
    writeFileSync(join(folder, `module_${i}.py`), content);
  }
  return root;
}
