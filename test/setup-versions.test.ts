import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';
import { withPipSettings } from '../setup/index-settings.mjs';
import { fitsNpm, fitsPython } from '../setup/versions.mjs';

const NPM: [version: string, range: string, fits: boolean][] = [
  ['22.20.0', '^22.20 || ^24.12 || >=26', true],
  ['22.19.9', '^22.20 || ^24.12 || >=26', false],
  ['23.0.0', '^22.20 || ^24.12 || >=26', false],
  ['24.12.0', '^22.20 || ^24.12 || >=26', true],
  ['25.9.0', '^22.20 || ^24.12 || >=26', false],
  ['30.0.0', '^22.20 || ^24.12 || >=26', true],
  ['26.0.0-nightly', '>=26', false],
  ['0.2.9', '^0.2.3', true],
  ['0.3.0', '^0.2.3', false],
  ['1.2.9', '~1.2.3', true],
  ['1.3.0', '~1.2.3', false],
  ['1.9.0', '~1', true],
  ['18.1.0', '18.x', true],
  ['18.1.0', '18', true],
  ['19.0.0', '18', false],
  ['18.1.0', '>= 18 < 20', true],
  ['20.0.0', '>=18 <20', false],
  ['20.0.0', '>18 <=20', true],
  ['18.9.9', '>18', false],
];
for (const [version, range, fits] of NPM) {
  test(`npm: ${version} ${fits ? 'fits' : 'does not fit'} ${range}`, (t) => t.is(fitsNpm(version, range), fits));
}

const PYTHON: [version: string, specifiers: string, fits: boolean][] = [
  ['3.13.0', '>=3.13', true],
  ['3.12.9', '>=3.13', false],
  ['3.14.0rc2', '>=3.13', false],
  ['3.14.1', '>=3.13,<3.15', true],
  ['3.15.0', '>=3.13,<3.15', false],
  ['3.13.4', '==3.13.*', true],
  ['3.14.0', '==3.13.*', false],
  ['3.13', '==3.13.0', true],
  ['3.13.2', '!=3.13.2', false],
  ['3.13.9', '~=3.13.2', true],
  ['3.14.0', '~=3.13.2', false],
  ['3.14.0', '~=3.13', true],
  ['0.13.9', '>=0.11.28', true],
  ['0.4.30', '>=0.11.28', false],
];
for (const [version, specifiers, fits] of PYTHON) {
  test(`Python: ${version} ${fits ? 'fits' : 'does not fit'} ${specifiers}`, (t) =>
    t.is(fitsPython(version, specifiers), fits));
}

test('a range that is not understood is refused, never taken for a fit', (t) => {
  t.throws(() => fitsNpm('24.0.0', '1 - 2'), { message: /unsupported npm range/ });
  t.throws(() => fitsPython('3.13.0', '===3.13'), { message: /unsupported version specifier/ });
});

const PIP_CONF =
  '[global]\nindex-url = https://index.example/simple\ncert = /certs.pem\n[install]\ntrusted-host: index.example\n';

test('what only pip was told, uv is told as well', async (t) => {
  const home = await mkdtemp(path.join(tmpdir(), 'ktx-home-'));
  t.teardown(() => rm(home, { recursive: true }));
  const env = { HOME: home, XDG_CONFIG_DIRS: path.join(home, 'xdg'), PIP_CONFIG_FILE: path.join(home, 'pip.conf') };
  await writeFile(env.PIP_CONFIG_FILE, PIP_CONF);
  const added = (given: NodeJS.ProcessEnv) => {
    const { UV_DEFAULT_INDEX, UV_INSECURE_HOST, SSL_CERT_FILE, ALL_PROXY } = withPipSettings(given);
    return { UV_DEFAULT_INDEX, UV_INSECURE_HOST, SSL_CERT_FILE, ALL_PROXY };
  };
  const none = {
    UV_DEFAULT_INDEX: undefined,
    UV_INSECURE_HOST: undefined,
    SSL_CERT_FILE: undefined,
    ALL_PROXY: undefined,
  };
  const conf = {
    ...none,
    UV_DEFAULT_INDEX: 'https://index.example/simple',
    UV_INSECURE_HOST: 'index.example',
    SSL_CERT_FILE: '/certs.pem',
  };

  t.deepEqual(added(env), conf);
  t.deepEqual(added({ ...env, PIP_INDEX_URL: 'https://other.example/' }).UV_DEFAULT_INDEX, 'https://other.example/');
  t.deepEqual(added({ ...env, PIP_PROXY: 'proxy.example:3128' }).ALL_PROXY, 'http://proxy.example:3128');
  t.deepEqual(added({ ...env, HTTPS_PROXY: 'http://mine.example', PIP_PROXY: 'proxy.example' }).ALL_PROXY, undefined);
  t.deepEqual(added({ ...env, SSL_CERT_FILE: '/mine.pem' }).SSL_CERT_FILE, '/mine.pem');
  t.deepEqual(added({ ...env, PIP_CONFIG_FILE: '/dev/null' }), none);

  // uv's own settings win, in the environment and in its file.
  t.is(added({ ...env, UV_INDEX_URL: 'https://uv.example/' }).UV_DEFAULT_INDEX, undefined);
  await mkdir(path.join(home, '.config', 'uv'), { recursive: true });
  await writeFile(
    path.join(home, '.config', 'uv', 'uv.toml'),
    '[[index]]\nurl = "https://uv.example/"\ndefault = true\n',
  );
  t.is(added(env).UV_DEFAULT_INDEX, undefined);
});
