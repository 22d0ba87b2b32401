import test from 'ava';
import { classify, type EntryType, folded, mistakenContent } from '../tasks/entry-rules.ts';

const DATA = ['queries/*.sql', 'data/**/*.json', 'images/logo.png'];

function verdict(path: string, type: EntryType = 'file'): string {
  const found = classify(path, type, DATA);
  if (found.verdict === 'keep') return 'keep';
  if (found.verdict === 'refuse') return `refuse: ${found.reason}`;
  return `${found.prune ? 'prune' : 'leave out'}: ${found.kind}`;
}

const CREDENTIAL = 'refuse: looks like a credential';
const COMPILED = 'refuse: is a compiled binary';
const UNPORTABLE = 'refuse: has a character in its name that is not portable';

const FILES: Record<string, readonly string[]> = {
  keep: [
    '__init__.py',
    'planner.py',
    'stubs.pyi',
    'py.typed',
    'deep/er/py.typed',
    'build/__init__.py',
    'dist/x.py',
    'env/x.py',
    'venv/x.py',
    'test/x.py',
    'lib/x.py',
    'testing.py',
    'my_test.py',
    'tests.py',
    'id_generator.py',
    'id_rsa.pyi',
    'credentials.py',
    'secrets.py',
    'key.py',
    'console.py',
    'über.py',
    'queries/top.sql',
    'data/a.json',
    'data/deep/b.json',
    'images/logo.png',
  ],
  'leave out: test file': ['tests/a.py', 'a/tests/b/c.json', 'test_plan.py', 'a/conftest.py'],
  'leave out: notebook': ['explore.ipynb'],
  'leave out: bytecode': ['planner.pyc', 'planner.pyo'],
  'leave out: editor file': [
    'a.py~',
    '.a.py.swp',
    '#a.py#',
    'a.py.orig',
    'a.py.rej',
    '4913',
    '.idea/x.xml',
    '.vscode/a.json',
  ],
  'leave out: system file': ['.DS_Store', 'a/Thumbs.db', '._planner.py', 'Icon\r'],
  'leave out: undeclared .md': ['README.md', 'queries/README.md'],
  'leave out: undeclared .sql': ['other.sql', 'queries/deep/top.sql'],
  'leave out: undeclared file': ['Makefile', '.hidden', 'a/LICENSE'],
  'leave out: undeclared .PY': ['SHOUT.PY'],
  'leave out: cache file': ['.coverage', '.coverage.host.1'],
  [CREDENTIAL]: [
    '.env',
    '.env.local',
    '.ENV',
    '.envrc',
    'server.pem',
    'SERVER.PEM',
    'id_rsa',
    'id_ed25519.pub',
    'ID_RSA',
    '.npmrc',
    '.pypirc',
    '.netrc',
    '_netrc',
    '.git-credentials',
    '.pgpass',
    'credentials.json',
    'secrets.yaml',
    'service-account-prod.json',
    'client_secret_1.json',
    'tls.key',
    'store.p12',
    'tests/fixtures/server.pem',
    'data/credentials.json',
  ],
  [COMPILED]: [
    '_speed.so',
    '_speed.cpython-313-x86_64-linux-gnu.so',
    'lib.so.1.2',
    'a.PYD',
    'b.dll',
    'c.dylib',
    'tests/d.exe',
  ],
  [UNPORTABLE]: ['a:b.py', 'a?.py', 'a*.py', 'new\nline.py', 'a\\b.py', 'bad\ufffd.py', 'lone\ud800.py', 'tests/a|b'],
  'refuse: has a name ending in a dot or a space': ['a.', 'b.py '],
  'refuse: has a name that Windows reserves': ['nul', 'CON.py', 'aux.json', 'com1.py', 'tests/prn.txt'],
  'refuse: has a name that is not in Unicode normal form C (NFC)': ['u\u0308ber.py', 'tests/e\u0301.md'],
};

for (const [expected, paths] of Object.entries(FILES)) {
  for (const path of paths) test(`${JSON.stringify(path)} → ${expected}`, (t) => t.is(verdict(path), expected));
}

const FOLDERS: Record<string, readonly string[]> = {
  keep: ['build', 'dist', 'env', 'venv', 'tests', '.idea', 'a/b', '.hidden', 'cache'],
  'prune: cache folder': [
    '__pycache__',
    'a/__pycache__',
    '.mypy_cache',
    '.ruff_cache',
    'node_modules',
    '.ipynb_checkpoints',
    'x.egg-info',
  ],
  'prune: virtual environment': ['.venv'],
  'prune: version control folder': ['.git'],
  [UNPORTABLE]: ['a:b'],
  'refuse: has a name that Windows reserves': ['a/nul'],
};

for (const [expected, paths] of Object.entries(FOLDERS)) {
  for (const path of paths) test(`folder ${path} → ${expected}`, (t) => t.is(verdict(path, 'directory'), expected));
}

for (const [type, reason] of [
  ['link', 'is a symbolic link'],
  ['socket', 'is a socket'],
  ['fifo', 'is a named pipe'],
  ['device', 'is a device'],
] as const) {
  for (const path of ['a.py', 'tests/a', '__pycache__', '.DS_Store.x']) {
    test(`${path} as ${type} is refused`, (t) => t.is(verdict(path, type), `refuse: ${reason}`));
  }
}

test('the lock of an Emacs buffer is an editor file, though it is a link', (t) => {
  t.is(verdict('.#planner.py', 'link'), 'leave out: editor file');
});

for (const [a, b] of [
  ['README', 'readme'],
  ['Straße', 'STRASSE'],
  ['ﬁle', 'file'],
  ['\u212aelvin', 'kelvin'],
  ['é', 'e\u0301'],
  ['ſ', 's'],
  ['Σ', 'ς'],
  ['ａ', 'a'],
] as const) {
  test(`${a} and ${JSON.stringify(b)} are one name`, (t) => t.is(folded(a), folded(b)));
}

test('names that differ in more than case and form stay apart', (t) => {
  const names = ['a', 'b', 'ä', 'a1', 'a_1', 'a-1', 'ø', 'o', 'л', 'п'];
  t.is(new Set(names.map(folded)).size, names.length);
});

const text = (value: string) => Buffer.from(value, 'latin1');
const portable = Buffer.alloc(512);
portable.write('MZ');
portable.writeUInt32LE(0x80, 0x3c);
portable.write('PE\0\0', 0x80, 'latin1');

for (const [what, head, reason] of [
  ['ELF', text('\x7fELF\x02\x01\x01'), 'is a compiled binary'],
  ['Mach-O', text('\xcf\xfa\xed\xfe\x07'), 'is a compiled binary'],
  ['universal Mach-O or a Java class', text('\xca\xfe\xba\xbe\x00'), 'is a compiled binary'],
  ['an ar archive', text('!<arch>\n'), 'is a compiled binary'],
  ['PE', portable, 'is a compiled binary'],
  ['a private key', text('-----BEGIN OPENSSH PRIVATE KEY-----\n'), 'holds a private key'],
  ['a PKCS#8 key', text('-----BEGIN PRIVATE KEY-----\n'), 'holds a private key'],
] as const) {
  test(`content that begins like ${what} is refused`, (t) => {
    const found = mistakenContent(head);
    t.is(found?.verdict === 'refuse' ? found.reason : undefined, reason);
  });
}

for (const [what, head] of [
  ['nothing', text('')],
  ['three bytes', text('abc')],
  ['a table whose header begins with MZ', text(`MZ,ZA\n${'1,2\n'.repeat(40)}`)],
  ['a public certificate', text('-----BEGIN CERTIFICATE-----\n')],
  ['a byte order mark', text('\xef\xbb\xbfimport os\n')],
  ['a PNG', text('\x89PNG\r\n\x1a\n')],
  ['zeros', Buffer.alloc(64)],
] as const) {
  test(`content that begins like ${what} passes`, (t) => t.is(mistakenContent(head), undefined));
}
