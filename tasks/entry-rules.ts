/**
 * What may enter the wheel: every entry of a source tree is kept, left out and counted, or refused.
 *
 * The list of what is kept is closed: Python sources, stubs, `py.typed` and declared data files. Junk (caches, tests,
 * notebooks, editor files) is left out. What looks like a mistake is refused wherever it lies, because a link, a
 * credential or a compiled binary next to sources means that the tree is not what its owner thinks it is.
 *
 * All of it is pure: paths and types in, verdicts out.
 */
import { posix } from 'node:path';

export type EntryType = 'file' | 'directory' | 'link' | 'socket' | 'fifo' | 'device';

export type Verdict =
  | { readonly verdict: 'keep' }
  /** `prune`: a folder of which nothing is looked at. It counts as one entry. */
  | { readonly verdict: 'leave out'; readonly kind: string; readonly prune: boolean }
  | { readonly verdict: 'refuse'; readonly reason: string; readonly hint: string };

const KEEP: Verdict = { verdict: 'keep' };

const PRUNED: ReadonlyMap<string, string> = new Map([
  ...[
    '__pycache__',
    '.mypy_cache',
    '.ruff_cache',
    '.pytest_cache',
    '.hypothesis',
    '.ipynb_checkpoints',
    '.cache',
    '.tox',
    '.nox',
    '.eggs',
    '.pyre',
    '.pytype',
    'node_modules',
    '__MACOSX',
  ].map((name) => [name, 'cache folder'] as const),
  ...['.git', '.hg', '.svn', '.jj'].map((name) => [name, 'version control folder'] as const),
  ['.venv', 'virtual environment'],
]);

const SYSTEM_FILES = new Set(['.DS_Store', 'Thumbs.db', 'ehthumbs.db', 'desktop.ini', 'Icon\r', '.directory']);
const EDITOR_FOLDERS = new Set(['.idea', '.vscode', '.vs', '.fleet', '.zed', '.history']);
const EDITOR_FILE = anyOf([
  '\\.#.*',
  '#.*#',
  '.*~',
  '~\\$.*',
  '.*\\.(swp|swo|swn|swx|bak|orig|rej|tmp)',
  '4913', // vim tries whether it may write
  '\\.goutputstream-.*',
  '.*___jb_(tmp|old)___',
  '\\.(editorconfig|project|pydevproject)',
]);
const TEST_FILE = /^test_.*\.py$|^conftest\.py$/;
const BYTECODE = /\.py[co]$/;
const SOURCE = /\.pyi?$/;

const COMPILED = /\.(?:so(?:\.\d+)*|pyd|dll|dylib|exe|o|obj|a|lib|node|class|jar)$/i;

const CREDENTIALS = anyOf([
  '\\.env.*',
  '.*\\.(pem|key|p12|pfx|jks|keystore|kdbx|ppk|tfstate|tfvars)',
  '\\.?(npmrc|pypirc)',
  '[._]netrc',
  '\\.(git-credentials|htpasswd|pgpass|my\\.cnf|dockercfg|dockerconfigjson|s3cfg|boto|vault-token)',
  'pgpass\\.conf',
  'kubeconfig',
  '\\.?credentials(\\.(json|ya?ml|toml|ini|csv|txt))?',
  '\\.?secrets?(\\.(json|ya?ml|toml|ini|txt))?',
  '(service[-_]?account|client[-_]secret).*\\.json',
]);
const PRIVATE_KEY = /^id_.*$/i;

const RESERVED_NAME = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\.|$)/i;
const UNPORTABLE =
  /[\u0000-\u001f\u007f-\u009f<>:"|?*\\\ufffd]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;
const ASCII = /^[\u0000-\u007f]*$/;

/** Whole names, whatever their case. */
function anyOf(patterns: readonly string[]): RegExp {
  return new RegExp(`^(?:${patterns.join('|')})$`, 'i');
}

const refuse = (reason: string, hint: string): Verdict => ({ verdict: 'refuse', reason, hint });
const leaveOut = (kind: string, prune = false): Verdict => ({ verdict: 'leave out', kind, prune });

const TYPES: Partial<Record<EntryType, Verdict>> = {
  link: refuse(
    'is a symbolic link',
    'Replace it with the file or folder it points to: the wheel holds regular files only.',
  ),
  socket: refuse('is a socket', 'Remove it: the wheel holds regular files only.'),
  fifo: refuse('is a named pipe', 'Remove it: the wheel holds regular files only.'),
  device: refuse('is a device', 'Remove it: the wheel holds regular files only.'),
};

/**
 * Judge one entry of a source tree by its path and type.
 *
 * `path` is relative to the tree, POSIX. `data` holds the glob patterns of declared data files, relative to the tree.
 * A folder gets `keep` when its entries are to be judged; whether it has any that are kept is seen only then.
 */
export function classify(path: string, type: EntryType, data: readonly string[] = []): Verdict {
  const segments = path.split('/');
  const name = segments.pop() as string;
  if (type === 'directory') {
    const pruned = PRUNED.get(name) ?? (name.endsWith('.egg-info') ? 'cache folder' : undefined);
    return pruned ? leaveOut(pruned, true) : (unportable(name) ?? KEEP);
  }
  if (SYSTEM_FILES.has(name) || (type === 'file' && name.startsWith('._'))) return leaveOut('system file');
  // Emacs marks a file being edited with a dangling link `.#name`: no mistake, and it would stop every watch pass.
  if (type === 'link' && name.startsWith('.#')) return leaveOut('editor file');
  return TYPES[type] ?? unportable(name) ?? mistaken(name) ?? classifyFile(path, name, segments, data);
}

function classifyFile(path: string, name: string, folders: readonly string[], data: readonly string[]): Verdict {
  for (const folder of folders) {
    if (folder === 'tests') return leaveOut('test file');
    if (EDITOR_FOLDERS.has(folder)) return leaveOut('editor file');
  }
  if (EDITOR_FILE.test(name)) return leaveOut('editor file');
  if (TEST_FILE.test(name)) return leaveOut('test file');
  if (SOURCE.test(name) || name === 'py.typed') return KEEP;
  if (BYTECODE.test(name)) return leaveOut('bytecode');
  if (name.endsWith('.ipynb')) return leaveOut('notebook');
  if (data.some((pattern) => posix.matchesGlob(path, pattern))) return KEEP;
  if (name === '.coverage' || name.startsWith('.coverage.')) return leaveOut('cache file');
  const suffix = posix.extname(name);
  return leaveOut(suffix ? `undeclared ${suffix}` : 'undeclared file');
}

/** What no tree of sources should hold, judged by name alone. */
function mistaken(name: string): Verdict | undefined {
  if (CREDENTIALS.test(name) || (PRIVATE_KEY.test(name) && !SOURCE.test(name))) {
    return refuse(
      'looks like a credential',
      'Move it out of the source tree, and replace the secret if it was ever shared.',
    );
  }
  if (COMPILED.test(name)) {
    return refuse('is a compiled binary', 'Remove it: the wheel is pure Python and must run on every platform.');
  }
  return undefined;
}

/** A name that some file system, archive or installer would change or refuse. */
function unportable(name: string): Verdict | undefined {
  const hint = 'Rename it: the wheel must unpack to the same names on every platform.';
  if (UNPORTABLE.test(name)) return refuse('has a character in its name that is not portable', hint);
  if (name.endsWith('.') || name.endsWith(' ')) return refuse('has a name ending in a dot or a space', hint);
  if (RESERVED_NAME.test(name)) return refuse('has a name that Windows reserves', hint);
  if (ASCII.test(name)) return undefined;
  if (name !== name.normalize('NFC')) return refuse('has a name that is not in Unicode normal form C (NFC)', hint);
  return undefined;
}

/** Key under which two names are one on some file system: compatibility normalised (NFKC) and case folded. */
export function folded(name: string): string {
  if (ASCII.test(name)) return name.toLowerCase();
  // Upper then lower case is full case folding but for a few letters, and those it folds too much rather than too little.
  return name.normalize('NFKC').toUpperCase().toLowerCase().normalize('NFKC');
}

/**
 * Say what the first bytes of a file reveal that its name does not; `undefined` when nothing.
 *
 * 128 bytes are enough for all but PE, whose header lies where the word at 0x3c points; 4 KiB are enough in practice.
 */
export function mistakenContent(head: Uint8Array): Verdict | undefined {
  const [a, b, c, d] = head;
  if (a === undefined || b === undefined || c === undefined || d === undefined) return undefined;
  const word = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  if (BINARY_MAGIC.has(word) || (word === 0x213c6172 && head[4] === 0x63 && head[5] === 0x68) || isPe(head)) {
    return refuse('is a compiled binary', 'Remove it: the wheel is pure Python and must run on every platform.');
  }
  // "-----BEGIN … PRIVATE KEY-----" as the very first text of a file
  if (word === 0x2d2d2d2d && /^-----BEGIN [A-Z0-9 ]*PRIVATE KEY/.test(String.fromCharCode(...head.subarray(0, 64)))) {
    return refuse('holds a private key', 'Move it out of the source tree, and replace the key if it was ever shared.');
  }
  return undefined;
}

/** ELF; Mach-O of both widths and byte orders; universal Mach-O and Java classes. */
const BINARY_MAGIC = new Set([0x7f454c46, 0xfeedface, 0xfeedfacf, 0xcefaedfe, 0xcffaedfe, 0xcafebabe, 0xcafebabf]);

function isPe(head: Uint8Array): boolean {
  if (head[0] !== 0x4d || head[1] !== 0x5a || head.length < 0x40) return false; // "MZ", which may also begin a text
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const at = view.getUint32(0x3c, true);
  return at + 4 <= head.length && view.getUint32(at, true) === 0x00004550;
}
