/** The whole way of a release: built, published to a real registry on loopback, and tried as published. */
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { createContext, type Flags } from '../tasks/context.ts';
import { sha256 } from '../tasks/digest.ts';
import { recordingLog } from '../tasks/log.ts';
import { parseArtifactManifest } from '../tasks/manifest.ts';
import { publish } from '../tasks/publish.ts';
import { smoke } from '../tasks/smoke.ts';
import { recordVerified } from '../tasks/verified.ts';
import { checkout, commitAll } from './_support/checkout.ts';
import { localRegistry } from './_support/local-registry.ts';

const registry = localRegistry();
test.after.always(async () => (await registry).close());

test('what is published is what was built, once, and the published package works', async (t) => {
  t.timeout(600_000);
  const { url, token } = await registry;
  const { root, gulp } = await checkout(t);
  const policy = JSON.parse(await readFile(join(root, 'release-policy.json'), 'utf8'));
  const { version } = JSON.parse(await readFile(join(root, 'packages/cli/package.json'), 'utf8'));
  const publicPolicy = {
    ...policy,
    releaseMode: 'npm-public-release-ready',
    npm: { publish: true, registry: url, access: 'public', tag: 'latest', packages: ['@kaelio/ktx'] },
    publishedPackageSmoke: { packageName: '@kaelio/ktx', version, registry: url },
    requiredBeforePublishing: [],
  };
  await writeFile(join(root, 'release-policy.json'), JSON.stringify(publicPolicy));
  await commitAll(root);
  const built = await gulp(['artifacts']);
  t.is(built.code, 0, built.output);

  const log = recordingLog();
  const ambient = { ...process.env, NODE_AUTH_TOKEN: token, HOME: join(root, '..') };
  const context = (flags: Partial<Flags> = { yes: true }) => createContext(root, { ambient, log, flags });
  const blockedBy = async () => {
    const error = await t.throwsAsync(publish(context()), { code: 'publish' });
    return [...String(error?.message).matchAll(/^ {4}(\w[\w -]*): /gm)].map(([, guard]) => guard);
  };
  t.deepEqual(await blockedBy(), ['verification']);
  const manifest = await readFile(join(root, 'dist/artifacts/manifest.json'), 'utf8');
  const { at } = context();
  await recordVerified(at, sha256(manifest)); // what `gulp verify` does at its end; it has its own tests
  await appendFile(join(root, 'README.md'), '\nA change.\n');
  t.deepEqual(await blockedBy(), ['clean tree']);
  await writeFile(
    join(root, 'README.md'),
    (await readFile(join(root, 'README.md'), 'utf8')).replace(/\nA change\.\n$/, ''),
  );

  await publish(context());
  const response = await fetch(`${url}@kaelio%2fktx`);
  const { versions, 'dist-tags': tags } = (await response.json()) as {
    versions: Record<string, { dist: { tarball: string } }>;
    'dist-tags': unknown;
  };
  t.deepEqual(tags, { latest: version });
  const published = Buffer.from(await (await fetch(versions[version]?.dist.tarball as string)).arrayBuffer());
  const listed = parseArtifactManifest(manifest).files.find(({ packageName }) => packageName === '@kaelio/ktx');
  t.is(sha256(published), listed?.sha256 ?? 'not listed');

  t.deepEqual(await blockedBy(), ['new version']);
  await smoke(context());
  t.regex(log.lines.at(-1) ?? '', /@kaelio\/ktx \S+ from http:\/\/127\.0\.0\.1:\d+\/ installs and answers/);
});
