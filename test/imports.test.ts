/** The import scan with the real Python over staged trees. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { checkScan, type Scan } from '../tasks/imports.ts';
import { layout } from '../tasks/layout.ts';
import { repository } from './_support/checkout.ts';
import { temporaryTree } from './_support/temporary-tree.ts';

const BASE = {
  'semantic_layer/__init__.py': 'import pydantic\n',
  'ktx_daemon/__init__.py': '',
  'ktx_daemon/__main__.py': 'def main() -> int:\n    return 0\n',
};
const PROJECT = {
  dynamicImports: [],
  dependencies: ['pydantic>=2'],
  extras: { 'local-embeddings': ['torch>=2', 'sentence-transformers>=5'] },
};

async function scan(t: ExecutionContext, files: Record<string, string>): Promise<Scan> {
  const root = await temporaryTree(t, { ...BASE, ...files });
  const request = { root, modules: ['semantic_layer', 'ktx_daemon'], entryPoint: 'ktx_daemon.__main__:main' };
  const program = join(repository, 'tasks', 'import-scan.py');
  const printed = execFileSync(layout(repository).venvPython, ['-I', program], {
    input: JSON.stringify(request),
    encoding: 'utf8',
  });
  return JSON.parse(printed) as Scan;
}

const FINE: readonly [string, Record<string, string>][] = [
  ['the base', {}],
  ['standard library', { 'ktx_daemon/a.py': 'import json, os.path\nfrom xml.etree import ElementTree\n' }],
  [
    'relative and absolute imports of its own',
    { 'ktx_daemon/a.py': 'from . import __main__\nfrom .__main__ import main\nimport semantic_layer\n' },
  ],
  ['an extra inside a function', { 'ktx_daemon/a.py': 'def f():\n    import torch\n' }],
  ['an extra behind a guard', { 'ktx_daemon/a.py': 'try:\n    import torch\nexcept ImportError:\n    torch = None\n' }],
  [
    'an extra for type checkers',
    { 'ktx_daemon/a.py': 'from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n' },
  ],
  ['a byte order mark and CRLF', { 'ktx_daemon/a.py': '\ufeffimport json\r\n' }],
  [
    'sub-packages named build and env',
    {
      'ktx_daemon/build/__init__.py': '',
      'ktx_daemon/env/x.py': 'from ktx_daemon.build import y\n',
      'ktx_daemon/build/y.py': '',
    },
  ],
];

for (const [name, files] of FINE) {
  test(`accepts ${name}`, async (t) => {
    const found = await scan(t, files);
    t.notThrows(() => checkScan(found, PROJECT));
  });
}

const REFUSED: readonly [string, Record<string, string>, RegExp][] = [
  [
    'an undeclared import',
    { 'ktx_daemon/a.py': 'import json\nimport yaml\n' },
    /ktx_daemon\/a\.py:2 imports yaml, which no source pyproject declares \(PyYAML\)/i,
  ],
  ['an extra at import time', { 'ktx_daemon/a.py': 'import torch\n' }, /a\.py:1 imports torch at import time/],
  [
    'a dynamic import',
    { 'ktx_daemon/a.py': 'import importlib\nimportlib.import_module("duckdb")\n' },
    /a\.py:2 imports duckdb/,
  ],
  [
    'a dependency in vain',
    { 'semantic_layer/__init__.py': '' },
    /pydantic is declared as a dependency, but nothing imports it/,
  ],
  ['a syntax error', { 'ktx_daemon/a.py': 'x = 1\ndef f(:\n' }, /ktx_daemon\/a\.py:2 /],
  [
    'a module that is not there',
    { 'ktx_daemon/a.py': 'from ktx_daemon.gone import x\n' },
    /imports ktx_daemon\.gone, which is not among/,
  ],
  [
    'a missing entry point',
    { 'ktx_daemon/__main__.py': 'def start(): ...\n' },
    /ktx_daemon\.__main__:main, the target of the console script/,
  ],
];

for (const [name, files, message] of REFUSED) {
  test(`refuses ${name}`, async (t) => {
    const found = await scan(t, files);
    t.throws(() => checkScan(found, PROJECT), { message });
  });
}

test('all problems are in one message', async (t) => {
  const found = await scan(t, { 'ktx_daemon/a.py': 'import yaml\nimport duckdb\n', 'ktx_daemon/__main__.py': '' });
  t.throws(() => checkScan(found, PROJECT), { message: /yaml[\s\S]*duckdb|duckdb[\s\S]*yaml/ });
});
