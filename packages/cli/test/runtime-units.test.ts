import { join, resolve } from 'node:path';
import test from 'ava';
import { switchedOn } from '../src/command.ts';
import { recordLines } from '../src/runtime/installed-files.ts';
import { masker } from '../src/runtime/log.ts';
import { type Place, runtimeRoot } from '../src/runtime/paths.ts';
import { compareReleases, demandSupported, fits, isSemver, type Machine, pep440 } from '../src/runtime/platform.ts';
import { seconds } from '../src/runtime/seconds.ts';
import { pythonEnvironment } from '../src/runtime/uv-environment.ts';

const roots: readonly { name: string; place: Place; root: string }[] = [
  {
    name: 'Linux',
    place: { env: { HOME: '/home/a' }, cwd: '/w', platform: 'linux' },
    root: '/home/a/.local/share/kaelio/ktx/runtime',
  },
  {
    name: 'Linux with XDG_DATA_HOME',
    place: { env: { HOME: '/home/a', XDG_DATA_HOME: '/data' }, cwd: '/w', platform: 'linux' },
    root: '/data/kaelio/ktx/runtime',
  },
  {
    name: 'a relative XDG_DATA_HOME is ignored',
    place: { env: { HOME: '/home/a', XDG_DATA_HOME: 'data' }, cwd: '/w', platform: 'linux' },
    root: '/home/a/.local/share/kaelio/ktx/runtime',
  },
  {
    name: 'macOS',
    place: { env: { HOME: '/Users/a' }, cwd: '/w', platform: 'darwin' },
    root: '/Users/a/Library/Application Support/kaelio/ktx/runtime',
  },
  {
    name: 'Windows',
    place: { env: { LOCALAPPDATA: '/L' }, cwd: '/w', platform: 'win32' },
    root: join('/L', 'Kaelio', 'KTX', 'runtime'),
  },
  {
    name: 'KTX_RUNTIME_ROOT',
    place: { env: { HOME: '/home/a', KTX_RUNTIME_ROOT: '/opt/ktx' }, cwd: '/w' },
    root: '/opt/ktx',
  },
  {
    name: 'empty is unset',
    place: { env: { HOME: '/home/a', KTX_RUNTIME_ROOT: '' }, cwd: '/w', platform: 'linux' },
    root: '/home/a/.local/share/kaelio/ktx/runtime',
  },
  { name: 'a leading ~', place: { env: { HOME: '/home/a', KTX_RUNTIME_ROOT: '~/rt' }, cwd: '/w' }, root: '/home/a/rt' },
  {
    name: 'a ~ elsewhere is a character',
    place: { env: { HOME: '/home/a', KTX_RUNTIME_ROOT: '/x/~/rt' }, cwd: '/w' },
    root: '/x/~/rt',
  },
  {
    name: 'relative',
    place: { env: { HOME: '/home/a', KTX_RUNTIME_ROOT: 'rt' }, cwd: '/w' },
    root: resolve('/w', 'rt'),
  },
];
for (const { name, place, root } of roots) test(`runtime root: ${name}`, (t) => t.is(runtimeRoot(place), root));

const versions: readonly [semver: string, python: string | null][] = [
  ['0.1.0', '0.1.0'],
  ['0.1.0-alpha.1', '0.1.0a1'],
  ['0.1.0-beta.3', '0.1.0b3'],
  ['0.1.0-rc.2', '0.1.0rc2'],
  ['0.1.0-next.1', null],
  ['0.1.0+build', null],
];
for (const [semver, python] of versions) test(`PEP 440 of ${semver}`, (t) => t.is(pep440(semver), python));

const fitting: readonly [version: string, specifiers: string, fits: boolean][] = [
  ['3.13.0', '>=3.13', true],
  ['3.12.9', '>=3.13', false],
  ['3.14.2', '>=3.13,<3.15', true],
  ['3.15.0', '>=3.13,<3.15', false],
  ['3.13.1', '!=3.13.1,>=3.13', false],
  ['3.13.1', '==3.13.*', true],
  ['3.14.0', '~=3.13', true],
  ['4.0.0', '~=3.13', false],
  ['3.13.0', 'nonsense', false],
];
for (const [version, specifiers, expected] of fitting) {
  test(`${version} ${expected ? 'fits' : 'does not fit'} ${specifiers}`, (t) =>
    t.is(fits(version, specifiers), expected));
}

test('releases compare by number, not by text', (t) => {
  t.deepEqual(['0.11.28', '0.9.1', '0.11.3', '0.11'].sort(compareReleases), ['0.9.1', '0.11', '0.11.3', '0.11.28']);
});

test('only versions may name a version directory', (t) => {
  for (const name of ['0.1.0', '1.2.3-rc.1']) t.true(isSemver(name), name);
  for (const name of ['01.2.3', '1.2', 'v1.2.3', '..', '1.2.3/..', 'locks', '']) t.false(isSemver(name), name);
});

const machines: readonly { at: Machine; embeddings: boolean; core: boolean }[] = [
  { at: { platform: 'linux', arch: 'x64', libc: 'glibc' }, core: true, embeddings: true },
  { at: { platform: 'linux', arch: 'arm64', libc: 'musl' }, core: true, embeddings: false },
  { at: { platform: 'darwin', arch: 'x64', libc: null }, core: true, embeddings: false },
  { at: { platform: 'darwin', arch: 'arm64', libc: null }, core: true, embeddings: true },
  { at: { platform: 'linux', arch: 'riscv64', libc: 'glibc' }, core: false, embeddings: false },
  { at: { platform: 'freebsd', arch: 'x64', libc: null }, core: false, embeddings: false },
];
for (const { at, core, embeddings } of machines) {
  test(`${at.platform} ${at.arch} ${at.libc ?? ''}: core ${core}, embeddings ${embeddings}`, (t) => {
    const works = (run: () => void): boolean => {
      try {
        run();
        return true;
      } catch {
        return false;
      }
    };
    t.is(
      works(() => demandSupported(['core'], at)),
      core,
    );
    t.is(
      works(() => demandSupported(['core', 'local-embeddings'], at)),
      embeddings,
    );
  });
}

const switches: readonly [value: string | undefined, on: boolean][] = [
  [undefined, false],
  ['', false],
  ['0', false],
  ['false', false],
  ['NO', false],
  ['Off', false],
  [' ', false],
  ['1', true],
  ['true', true],
  ['yes', true],
  ['anything', true],
];
for (const [value, on] of switches)
  test(`a switch set to ${JSON.stringify(value)}`, (t) => t.is(switchedOn(value), on));

test('seconds are positive numbers, and others are refused by name', (t) => {
  t.is(seconds({}, 'KTX_X', 30), 30);
  t.is(seconds({ KTX_X: '' }, 'KTX_X', 30), 30);
  t.is(seconds({ KTX_X: '1.5' }, 'KTX_X', 30), 1.5);
  for (const value of ['0', '-1', 'soon', 'NaN', 'Infinity'])
    t.throws(() => seconds({ KTX_X: value }, 'KTX_X', 30), { message: /KTX_X/ });
});

const masked: readonly [text: string, shown: string][] = [
  ['get https://user:pw@host/x', 'get https://***@host/x'],
  ['get https://token@host/x', 'get https://***@host/x'],
  ['get https://us%40er:p@ss@host/x', 'get https://***@host/x'],
  ['postgres://u:p@h/d and https://a:b@c', 'postgres://***@h/d and https://***@c'],
  ['plain https://host/x and a@b.example', 'plain https://host/x and a@b.example'],
  ['the phrase pa55phrase alone', 'the phrase *** alone'],
];
for (const [text, shown] of masked) {
  test(`log: ${text}`, (t) => t.is(masker({ UV_INDEX_A_PASSWORD: 'pa55phrase', SHORT_TOKEN: 'a' })(text), shown));
}

test('RECORD lines with quotes, and without a digest', (t) => {
  const digest = 'A'.repeat(43);
  const text = `a.py,sha256=${digest},3\r\n"b,""c"".py",sha256=${digest},3\na.pyc,,\nkaelio.dist-info/RECORD,,\n`;
  t.deepEqual(recordLines(text), [
    { path: 'a.py', sha256: digest },
    { path: 'b,"c".py', sha256: digest },
  ]);
});

test('the interpreter sees no PYTHON variable and no IPv6 range in NO_PROXY', (t) => {
  const env = pythonEnvironment({
    PYTHONHOME: '/x',
    PYTHONPATH: '/y',
    PATH: '/bin',
    NO_PROXY: 'localhost,fd00::/8,10.0.0.0/8,[fe80::]/10,::1',
    no_proxy: undefined,
  });
  t.deepEqual(env, { PATH: '/bin', NO_PROXY: 'localhost,10.0.0.0/8,::1' });
});
