import { readFile, writeFile } from 'node:fs/promises';
import test from 'ava';
import { NPM_PACKAGES, PYTHON_PACKAGES, pep440, readIdentity } from '../tasks/identity.ts';
import { layout } from '../tasks/layout.ts';
import { temporaryTree } from './_support/temporary-tree.ts';

for (const [semver, expected] of [
  ['0.1.0', '0.1.0'],
  ['10.20.30', '10.20.30'],
  ['0.1.0-alpha.0', '0.1.0a0'],
  ['1.2.3-beta.4', '1.2.3b4'],
  ['0.1.0-rc.2', '0.1.0rc2'],
] as const) {
  test(`version: ${semver} is ${expected} to Python`, (t) => {
    t.is(pep440(semver, 'version'), expected);
  });
}

for (const bad of ['1.0', 'v1.0.0', '1.0.0+build', '1.0.0-dev.1', '1.0.0-rc1', '01.0.0', '1.0.0-rc.01', '', '1.0.0 ']) {
  test(`version: ${JSON.stringify(bad)} is refused naming the field`, (t) => {
    t.throws(() => pep440(bad, 'version in packages/cli/package.json'), {
      message: /^version in packages\/cli\/package\.json is /,
    });
  });
}

const versions = (python: string, npm: string) => ({
  ...Object.fromEntries(NPM_PACKAGES.map(({ root }) => [`${root}/package.json`, JSON.stringify({ version: npm })])),
  ...Object.fromEntries(
    PYTHON_PACKAGES.map(({ root }) => [`${root}/pyproject.toml`, `[project]\nversion = "${python}"\n`]),
  ),
});

test('one version: read from the npm package that users get', async (t) => {
  const at = layout(await temporaryTree(t, versions('0.1.0rc2', '0.1.0-rc.2')));
  t.deepEqual(await readIdentity(at), {
    version: '0.1.0-rc.2',
    pythonVersion: '0.1.0rc2',
    wheelFile: 'kaelio_ktx-0.1.0rc2-py3-none-any.whl',
  });
});

for (const file of [
  'packages/context/package.json',
  'python/ktx-sl/pyproject.toml',
  'python/ktx-daemon/pyproject.toml',
]) {
  test(`one version: ${file} that disagrees is named beside the source`, async (t) => {
    const at = layout(await temporaryTree(t, versions('0.1.0', '0.1.0')));
    const text = await readFile(at.inRoot(file), 'utf8');
    await writeFile(at.inRoot(file), text.replace('0.1.0', '0.2.0'));
    const error = await t.throwsAsync(readIdentity(at));
    t.true(error.message.includes(file) && error.message.includes('packages/cli/package.json'), error.message);
  });
}
