import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { readTarball } from '../tasks/archives.ts';
import { type Context, createContext } from '../tasks/context.ts';
import { hashFile } from '../tasks/digest.ts';
import { recordingLog } from '../tasks/log.ts';
import { type PublishPlan, planText, quietly, send } from '../tasks/publish.ts';
import {
  fetchPublished,
  npmCommand,
  openRegistry,
  publishArguments,
  publishedVersions,
  type Registry,
} from '../tasks/registry.ts';
import { installAndCompare } from '../tasks/smoke.ts';
import { type LocalRegistry, localRegistry } from './_support/local-registry.ts';
import { repository } from './_support/setup-workspace.ts';

const NAME = '@kaelio/ktx';

interface Scene {
  readonly base: string;
  readonly context: Context;
  readonly registry: Registry;
  readonly local: LocalRegistry;
  readonly tarball: (version: string) => Promise<string>;
  readonly plan: (
    tarball: string,
    version: string,
  ) => Promise<Pick<PublishPlan, 'package' | 'version' | 'arguments' | 'sends'>>;
}

/** One for all tests here; each publishes a version of its own. */
const shared = localRegistry();
test.after.always(async () => (await shared).close());

/** The registry, an account for it, and an empty HOME. */
async function scene(
  t: ExecutionContext,
  ambient: (local: LocalRegistry) => NodeJS.ProcessEnv = account,
): Promise<Scene> {
  const base = await mkdtemp(path.join(tmpdir(), 'ktx-publish-test-'));
  t.teardown(() => rm(base, { recursive: true, force: true }));
  const local = await shared;
  const env = { ...process.env, HOME: base, NODE_AUTH_TOKEN: undefined, ...ambient(local) };
  const context = createContext(repository, { ambient: env, log: recordingLog() });
  const registry = await openRegistry(context, local.url, path.join(base, 'npm'));
  const tarball = async (version: string) => {
    const folder = path.join(base, `package-${version}`);
    await mkdir(path.join(folder, 'dist'), { recursive: true });
    await writeFile(path.join(folder, 'package.json'), JSON.stringify({ name: NAME, version, files: ['dist'] }));
    await writeFile(path.join(folder, 'dist', 'bin.js'), `console.log(${JSON.stringify(version)});\n`);
    await context.run({ ...npmCommand(registry, 'pack', ['pack', '--pack-destination', base]), cwd: folder });
    return path.join(base, `kaelio-ktx-${version}.tgz`);
  };
  const plan = async (file: string, version: string) => ({
    package: NAME,
    version,
    arguments: publishArguments(path.basename(file), NAME, { registry: local.url, access: 'public', tag: 'next' }),
    sends: { file: path.basename(file), bytes: 1, sha256: await hashFile(file), members: [] },
  });
  return { base, context, registry, local, tarball, plan };
}

const account = ({ token }: LocalRegistry): NodeJS.ProcessEnv => ({ NODE_AUTH_TOKEN: token });

test.serial('a version is sent, listed, given back with the same bytes, and installs as what was sent', async (t) => {
  const { base, context, registry, local, tarball, plan } = await scene(t);
  t.deepEqual(await publishedVersions(quietly(context), registry, NAME), []);
  const file = await tarball('0.1.0');
  await send(context, registry, file, await plan(file, '0.1.0'));
  t.deepEqual(await publishedVersions(quietly(context), registry, NAME), ['0.1.0']);

  const packument = (await (await fetch(`${local.url}@kaelio%2fktx`)).json()) as { 'dist-tags': object };
  t.like(packument['dist-tags'], { next: '0.1.0' });
  const back = await fetchPublished(quietly(context), registry, NAME, '0.1.0');
  t.is(await hashFile(back), await hashFile(file));
  await installAndCompare(context, registry, base, NAME, '0.1.0', await readTarball(file));
});

test.serial('the registry itself refuses a version twice', async (t) => {
  const { context, registry, tarball, plan } = await scene(t);
  const file = await tarball('0.1.1');
  await send(context, registry, file, await plan(file, '0.1.1'));
  await t.throwsAsync(send(context, registry, file, await plan(file, '0.1.1')), {
    code: 'child',
    message: /npm publish/,
  });
});

test.serial('bytes other than those that were sent are noticed', async (t) => {
  const { context, registry, tarball, plan } = await scene(t);
  const file = await tarball('0.1.2');
  const planned = await plan(file, '0.1.2');
  const sends = { ...planned.sends, sha256: 'f'.repeat(64) };
  await t.throwsAsync(send(context, registry, file, { ...planned, sends }), {
    code: 'publish',
    message: /gives back .* sent was f{64}/,
  });
});

test.serial('an installed file that is not the tarball’s is noticed', async (t) => {
  const { base, context, registry, tarball, plan } = await scene(t);
  const file = await tarball('0.1.3');
  await send(context, registry, file, await plan(file, '0.1.3'));
  const members = new Map(await readTarball(file));
  members.set('package/dist/bin.js', Buffer.from('other'));
  await t.throwsAsync(installAndCompare(context, registry, base, NAME, '0.1.3', members), {
    code: 'smoke',
    message: /the installed dist\/bin\.js is not that of the tarball/,
  });
});

test.serial('without an account nothing is published, and the message says how to get one', async (t) => {
  const { context, registry, tarball, plan } = await scene(t, () => ({}));
  const file = await tarball('0.1.4');
  await t.throwsAsync(send(context, registry, file, await plan(file, '0.1.4')), {
    message: /NODE_AUTH_TOKEN, or `npm login`/,
  });
  t.false((await publishedVersions(quietly(context), registry, NAME)).includes('0.1.4'));
});

test.serial('a registry of the scope in the user’s npm settings does not divert the package', async (t) => {
  const { base, context, registry, local, tarball, plan } = await scene(t, () => ({}));
  const key = local.url.replace('http:', '');
  const settings = `@kaelio:registry=http://127.0.0.1:9/\nregistry=http://127.0.0.1:9/\n${key}:_authToken=${local.token}\n`;
  await writeFile(path.join(base, '.npmrc'), settings);
  const file = await tarball('0.1.5');
  await send(context, registry, file, await plan(file, '0.1.5'));
  t.true((await publishedVersions(quietly(context), registry, NAME)).includes('0.1.5'));
});

test.serial('the token is never written to a file', async (t) => {
  const { registry, local } = await scene(t);
  const settings = await readFile(path.join(registry.work, '.npmrc'), 'utf8');
  t.regex(settings, /:_authToken=\$\{NODE_AUTH_TOKEN\}\n$/);
  t.false(settings.includes(local.token));
});

test.serial('a registry that does not answer is told from one that does not know the package', async (t) => {
  const { context, base } = await scene(t);
  const nowhere = await openRegistry(context, 'http://127.0.0.1:9/', path.join(base, 'nowhere'));
  const env = { ...nowhere.env, npm_config_fetch_retries: '0' };
  await t.throwsAsync(publishedVersions(quietly(context), { ...nowhere, env }, NAME), {
    code: 'registry',
    message: /does not say which versions of @kaelio\/ktx it has/,
  });
});

const ARGUMENTS: [
  registry: string | null,
  access: 'public' | undefined,
  tag: string | undefined,
  expected: string[],
][] = [
  [null, undefined, undefined, ['publish', 'a.tgz', '--ignore-scripts']],
  [
    'https://registry.example/',
    'public',
    'latest',
    [
      ...[
        'publish',
        'a.tgz',
        '--registry',
        'https://registry.example/',
        '--@kaelio:registry=https://registry.example/',
      ],
      ...['--access', 'public', '--tag', 'latest', '--ignore-scripts'],
    ],
  ],
];
for (const [registry, access, tag, expected] of ARGUMENTS) {
  test(`the arguments follow the policy: registry ${registry}`, (t) =>
    t.deepEqual(publishArguments('a.tgz', NAME, { registry, access, tag }), expected));
}

test('the dry run prints the very arguments, what would be sent and what blocks', (t) => {
  const text = planText({
    package: NAME,
    version: '0.1.0',
    registry: null,
    arguments: publishArguments('kaelio-ktx-0.1.0.tgz', NAME, { registry: null }),
    sends: { file: 'npm/kaelio-ktx-0.1.0.tgz', bytes: 5, sha256: 'a'.repeat(64), members: ['package/package.json'] },
    guards: [{ name: 'access' }, { name: 'confirmation', problem: 'this is a dry run', todo: 'Add --yes to publish.' }],
  });
  t.is(
    text,
    `@kaelio/ktx 0.1.0 to no registry (the policy names none)
  npm publish kaelio-ktx-0.1.0.tgz --ignore-scripts
  sends npm/kaelio-ktx-0.1.0.tgz: 5 bytes, 1 files, sha256 ${'a'.repeat(64)}
  passes   access
  blocks   confirmation: this is a dry run
             Add --yes to publish.
`,
  );
});
