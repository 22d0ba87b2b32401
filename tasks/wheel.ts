/**
 * The runtime wheel: `uv build` of the staging tree, then opened and held
 * against the ledger before it may take its place.
 */
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readZip } from './archives.ts';
import { uvBuild } from './commands.ts';
import type { Context } from './context.ts';
import { hashFile } from './digest.ts';
import { BuildError } from './errors.ts';
import { BUILD_CONSTRAINTS } from './locks.ts';
import { staged } from './stage.ts';
import { perform, type Step } from './step.ts';
import { checkWheel } from './wheel-check.ts';

export function wheelStep({ at }: Pick<Context, 'at'>): Step<null> {
  return {
    name: 'wheel',
    doing: 'building the runtime wheel',
    output: at.built.wheel,
    async prepare(context, scratch) {
      const { wheelFile } = await context.identity();
      const { ledger, digest, project } = await staged(context);
      const tools = await context.toolchain();
      const constraints = join(at.built.locks, BUILD_CONSTRAINTS);
      return {
        inputs: {
          'staged tree': digest,
          'build constraints': await hashFile(constraints),
          'own code': await context.ownCode(),
          uv: tools.uv.version,
          python: tools.python.version,
        },
        run: async () => {
          const out = join(scratch as string, 'wheel');
          await mkdir(out);
          const where = { ambient: context.ambient, tools };
          await context.run(uvBuild(where, 'wheel', ['wheel'], at.staging, out, constraints));
          const found = await readdir(out);
          if (found.join() !== wheelFile) {
            throw new BuildError(
              'wheel',
              `uv build made ${found.join(', ') || 'nothing'} instead of ${wheelFile}`,
              'Check the uv on PATH.',
            );
          }
          checkWheel(wheelFile, await readZip(join(out, wheelFile)), ledger, project);
          return { output: out, result: null };
        },
      };
    },
  };
}

export async function wheel(context: Context): Promise<void> {
  await perform(context, wheelStep(context));
}
