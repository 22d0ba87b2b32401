/**
 * A good release folder to change: the one that the graph has just built, or one
 * built in a copy of the repository when there is none that opens.
 */
import { link, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { checkCustody } from '../../tasks/custody.ts';
import { sha256 } from '../../tasks/digest.ts';
import type { ArtifactEntry, ArtifactManifest } from '../../tasks/manifest.ts';
import { PROVENANCE_FILE, type Provenance } from '../../tasks/provenance.ts';
import { openRelease } from '../../tasks/release-check.ts';
import { canonicalJson, prettyJson } from '../../tasks/strict-json.ts';
import { checkout, repository } from './checkout.ts';

export const MANIFEST = 'manifest.json';
export { PROVENANCE_FILE as PROVENANCE };

/** The bytes of a good release, by path. */
export type Good = ReadonlyMap<string, Buffer>;

/** What `gulp verify --no-clean-room` asks of a folder. */
export async function verified(folder: string): Promise<void> {
  checkCustody(await openRelease(folder));
}

export async function goodRelease(t: ExecutionContext): Promise<Good> {
  const own = join(repository, 'dist', 'artifacts');
  const good = await verified(own).then(
    () => true,
    () => false,
  );
  if (good) return readFolder(own);
  const copy = await checkout(t, { git: true });
  const { code, output } = await copy.gulp(['artifacts']);
  if (code !== 0) throw new Error(`the release to change cannot be built:\n${output}`);
  return readFolder(join(copy.root, 'dist', 'artifacts'));
}

async function readFolder(folder: string): Promise<Good> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
  return new Map(
    await Promise.all(
      paths.map(async (path) => [path.slice(folder.length + 1).replaceAll('\\', '/'), await readFile(path)] as const),
    ),
  );
}

/** A release folder in which one thing can be changed at a time. */
export class Folder {
  readonly path: string;
  readonly good: Good;

  constructor(path: string, good: Good) {
    this.path = path;
    this.good = good;
  }

  get manifest(): ArtifactManifest {
    return JSON.parse(String(this.good.get(MANIFEST)));
  }

  get provenance(): Provenance {
    return JSON.parse(String(this.good.get(PROVENANCE_FILE)));
  }

  at(path: string): string {
    return join(this.path, path);
  }

  bytes(path: string): Buffer {
    return Buffer.from(this.good.get(path) as Buffer);
  }

  /** The file is linked to the good one: it is replaced, never written into. */
  async write(path: string, content: string | Buffer): Promise<void> {
    await rm(this.at(path), { force: true, recursive: true });
    await mkdir(dirname(this.at(path)), { recursive: true });
    await writeFile(this.at(path), content);
  }

  async writeManifest(manifest: unknown): Promise<void> {
    await this.write(MANIFEST, prettyJson(manifest));
  }

  async remove(path: string): Promise<void> {
    await rm(this.at(path), { recursive: true });
  }

  /**
   * Put other bytes into an artifact and make the manifest fit; with `everywhere`
   * the provenance and its digest too, so that only the bytes can give it away.
   */
  async replaceArtifact(path: string, content: Buffer, { everywhere = false } = {}): Promise<void> {
    const { manifest, provenance } = this;
    const digest = sha256(content);
    const files = manifest.files.map(
      (one): ArtifactEntry => (one.path === path ? { ...one, bytes: content.length, sha256: digest } : one),
    );
    await this.write(path, content);
    if (!everywhere) return this.writeManifest({ ...manifest, files });
    for (const subject of provenance.subject) if (subject.name === path) subject.digest.sha256 = digest;
    await this.writeProvenance(provenance, { ...manifest, files });
  }

  /** Write a statement and the manifest that holds its digest. */
  async writeProvenance(statement: Provenance, manifest: ArtifactManifest = this.manifest): Promise<void> {
    await this.write(PROVENANCE_FILE, prettyJson(statement));
    const attestations = [{ path: PROVENANCE_FILE, sha256: sha256(canonicalJson(statement)) }];
    await this.writeManifest({ ...manifest, attestations });
  }
}

export interface Bench {
  /** Make a fresh folder for each change. */
  readonly folder: () => Promise<Folder>;
}

/** Fresh folders of one good release for a test, all gone when it ends. */
export async function bench(t: ExecutionContext, good: Good): Promise<Bench> {
  const base = await mkdtemp(join(tmpdir(), 'ktx-release-'));
  t.teardown(() => rm(base, { recursive: true, force: true }));
  const original = join(base, 'good');
  let made = 0;
  for (const [path, bytes] of good) {
    await mkdir(dirname(join(original, path)), { recursive: true });
    await writeFile(join(original, path), bytes);
  }
  return {
    async folder() {
      const path = join(base, String(made++));
      for (const file of good.keys()) {
        await mkdir(dirname(join(path, file)), { recursive: true });
        await link(join(original, file), join(path, file));
      }
      return new Folder(path, good);
    },
  };
}
