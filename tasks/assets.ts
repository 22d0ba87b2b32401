/**
 * What ships inside the npm package beside its own code: the wheel, its locks
 * and the asset manifest in `assets/python/`, and `dist/build-info.js`, which
 * holds the digests that the command line demands of them.
 */
import { copyFile, cp, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Context } from './context.ts';
import { hashFile, hashPath, sha256 } from './digest.ts';
import { CARRIER, RUNTIME } from './identity.ts';
import { LOCK_FILES, lockedPython } from './locks.ts';
import { type AssetManifest, assetManifest, type FileEntry, parseModelPin } from './manifest.ts';
import { readPolicy } from './policy.ts';
import { NOTICES, NPM_SBOM, npmSbom } from './sbom-npm.ts';
import { staged } from './stage.ts';
import { perform, recall, type Step } from './step.ts';
import { prettyJson } from './strict-json.ts';

export function assetsStep({ at }: Pick<Context, 'at'>): Step<AssetManifest> {
  return {
    name: 'assets',
    doing: 'placing wheel and locks in the npm package',
    output: at.cli.pythonAssets,
    async prepare(context, scratch) {
      const { wheelFile } = await context.identity();
      const { id } = await context.revision();
      const { project } = await staged(context);
      const { pythonBelow } = await lockedPython(context);
      const pin = await readFile(at.embeddingModel, 'utf8');
      const sources = {
        wheel: join(at.built.wheel, wheelFile),
        core: join(at.built.locks, LOCK_FILES.core),
        'local-embeddings': join(at.built.locks, LOCK_FILES['local-embeddings']),
      };
      return {
        inputs: {
          wheel: await hashFile(sources.wheel),
          'core lock': await hashFile(sources.core),
          'local-embeddings lock': await hashFile(sources['local-embeddings']),
          'source revision': id ?? 'none',
          'embedding model': sha256(pin),
          'own code': await context.ownCode(),
        },
        run: async () => {
          const out = join(scratch as string, 'python');
          await mkdir(out);
          const entry = async (source: string, name: string): Promise<FileEntry> => {
            await copyFile(source, join(out, name)); // bytes, never a hard link: npm packs links as links
            return { file: name, sha256: await hashFile(source), bytes: (await stat(source)).size };
          };
          const manifest = assetManifest({
            distributionName: RUNTIME.distribution,
            normalizedName: RUNTIME.normalized,
            version: project.version,
            wheel: await entry(sources.wheel, wheelFile),
            requiresPython: pythonBelow ? `${project.requiresPython},<${pythonBelow}` : project.requiresPython,
            locks: {
              core: await entry(sources.core, LOCK_FILES.core),
              'local-embeddings': await entry(sources['local-embeddings'], LOCK_FILES['local-embeddings']),
            },
            sourceRevision: id,
            model: parseModelPin(pin),
          });
          await writeFile(join(out, 'manifest.json'), prettyJson(manifest));
          return { output: out, result: manifest };
        },
      };
    },
  };
}

/** `packages/cli/dist`: the bundle, its bill of materials, and build-info.js over the assets. */
export function buildInfoStep({ at }: Pick<Context, 'at'>): Step<null> {
  return {
    name: 'build-info',
    doing: 'writing the build info of the npm package',
    output: at.cli.dist,
    async prepare(context, scratch) {
      const { version } = await context.identity();
      const manifest = await recall(context, assetsStep(context));
      if (!manifest) throw new Error('the assets were used before they were placed');
      const { runtimeInstaller } = await readPolicy(at);
      const built = join(at.built.npm(CARRIER.folder), 'dist');
      const info = {
        version,
        manifestSha256: await hashFile(join(at.cli.pythonAssets, 'manifest.json')),
        wheelSha256: manifest.wheel.sha256,
        locks: { core: manifest.locks.core.sha256, 'local-embeddings': manifest.locks['local-embeddings'].sha256 },
        runtimeInstaller,
      };
      const sbom = npmSbom({
        version,
        licence: (await staged(context)).project.licence,
        notices: await readFile(join(built, NOTICES), 'utf8'),
        packageLock: await readFile(at.inRoot('package-lock.json'), 'utf8'),
        wheel: { version: manifest.version, sha256: manifest.wheel.sha256 },
      });
      const text = `export const buildInfo = Object.freeze(${JSON.stringify(info, null, 2)});\n`;
      return {
        inputs: {
          bundle: (await hashPath(built)) ?? 'missing',
          'build info': text,
          'bill of materials': sha256(sbom),
          'own code': await context.ownCode(),
        },
        run: async () => {
          const out = join(scratch as string, 'dist');
          await cp(built, out, { recursive: true });
          await writeFile(join(out, 'build-info.js'), text);
          await writeFile(join(out, basename(NPM_SBOM)), sbom);
          return { output: out, result: null };
        },
      };
    },
  };
}

export async function assets(context: Context): Promise<void> {
  await perform(context, assetsStep(context));
}

export async function buildInfo(context: Context): Promise<void> {
  await perform(context, buildInfoStep(context));
}

/** The text of the asset manifest in the checkout. */
export async function readAssetManifest({ at }: Pick<Context, 'at'>): Promise<string> {
  return readFile(join(at.cli.pythonAssets, 'manifest.json'), 'utf8');
}
