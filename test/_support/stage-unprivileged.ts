/**
 * Stage one package as a user without privileges and print what came of it, so that permissions count even for root.
 */
import { stageTrees } from '../../tasks/stage-tree.ts';

const [root, out] = process.argv.slice(2) as [string, string];
if (process.getuid?.() === 0) process.seteuid?.(65534);
try {
  const { files } = await stageTrees({
    trees: [{ root, module: 'pkg', origin: 'python/pkg', data: [] }],
    generated: [],
    out,
  });
  console.log(`staged ${files}`);
} catch (error) {
  console.log(error instanceof Error ? `${error.name}: ${error.message}` : error);
}
