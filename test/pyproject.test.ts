import test from 'ava';
import { parse } from 'smol-toml';
import { readIdentity } from '../tasks/identity.ts';
import { layout } from '../tasks/layout.ts';
import { pyprojectText, readmeText, readSourceProjects, runtimeProject, sourceProject } from '../tasks/pyproject.ts';
import { repository } from './_support/checkout.ts';

const ENGINE = `
[build-system]
requires = ["hatchling==1.33.0"]
[project]
version = "0.1.0"
requires-python = ">=3.13"
dependencies = ["pydantic>=2.9.0", "sqlglot>=26"]
`;
const DAEMON = `
[build-system]
requires = ["hatchling==1.33.0"]
[project]
version = "0.1.0"
requires-python = ">=3.13,<4"
license = "Apache-2.0"
dependencies = ["ktx-sl", "pydantic>=2", "sqlglot>=30"]
[project.optional-dependencies]
local-embeddings = ["torch>=2.2.0", "sentence-transformers>=5.1.1"]
[project.scripts]
ktx-daemon = "ktx_daemon.__main__:main"
`;
const IDENTITY = { version: '0.1.0', pythonVersion: '0.1.0', wheelFile: 'kaelio_ktx-0.1.0-py3-none-any.whl' };

const derive = (engine: string, daemon: string) =>
  runtimeProject(
    [sourceProject(engine, 'engine.toml', 'semantic_layer'), sourceProject(daemon, 'daemon.toml', 'ktx_daemon')],
    IDENTITY,
  );

test('the generated pyproject is derived from both sources', (t) => {
  const project = derive(ENGINE, DAEMON);
  t.deepEqual(project.dependencies, ['pydantic>=2.9.0', 'sqlglot>=30']);
  t.deepEqual(project.extras, { 'local-embeddings': ['sentence-transformers>=5.1.1', 'torch>=2.2.0'] });
  t.is(project.requiresPython, '>=3.13,<4');
  t.snapshot(pyprojectText(project));
  t.snapshot(readmeText(project));
});

test('equal declarations in another order give the same text', (t) => {
  const swapped = DAEMON.replace('"ktx-sl", "pydantic>=2", "sqlglot>=30"', '"sqlglot>=30", "pydantic>=2", "ktx-sl"');
  t.is(pyprojectText(derive(ENGINE, swapped)), pyprojectText(derive(ENGINE, DAEMON)));
});

const REFUSALS: readonly [string, string, string, RegExp][] = [
  ['a contradiction', ENGINE.replace('sqlglot>=26', 'sqlglot<26'), DAEMON, /engine\.toml.*daemon\.toml/s],
  [
    'torch as a default',
    ENGINE,
    DAEMON.replace('"ktx-sl"', '"ktx-sl", "torch"'),
    /torch stands under project\.dependencies in daemon\.toml/,
  ],
  [
    'torch under another extra',
    ENGINE,
    DAEMON.replace('local-embeddings', 'ml'),
    /under project\.optional-dependencies\.ml/,
  ],
  [
    'an extra against the defaults',
    ENGINE,
    `${DAEMON}`.replace('"torch>=2.2.0"', '"torch>=2.2.0", "pydantic<2"'),
    /pydantic/,
  ],
  ['no console script', ENGINE, DAEMON.replace('ktx_daemon.__main__', 'ktx_daemon.cli'), /console script ktx-daemon/],
  [
    'an unpinned backend',
    ENGINE.replaceAll('==1.33.0', ''),
    DAEMON.replaceAll('==1.33.0', ''),
    /does not pin the backend/,
  ],
  ['two backends', ENGINE.replace('1.33.0', '1.32.0'), DAEMON, /hatchling==1\.32\.0 in engine\.toml/],
  ['contradicting Pythons', ENGINE.replace('>=3.13', '<3.13'), DAEMON, /python is required as/],
];

for (const [name, engine, daemon, message] of REFUSALS) {
  test(`refuses ${name}`, (t) => {
    t.throws(() => derive(engine, daemon), { message });
  });
}

test("today's sources give what users are promised", async (t) => {
  const at = layout(repository);
  const project = runtimeProject(await readSourceProjects(at), await readIdentity(at));
  const toml = parse(pyprojectText(project)) as { project: Record<string, unknown> };
  t.is(toml.project.name, 'kaelio-ktx');
  t.is(toml.project['requires-python'], '>=3.13');
  t.is(toml.project.license, 'Apache-2.0');
  t.deepEqual(toml.project['optional-dependencies'], {
    'local-embeddings': ['sentence-transformers>=5.1.1', 'torch>=2.2.0'],
  });
  t.deepEqual(toml.project.scripts, { 'ktx-daemon': 'ktx_daemon.__main__:main' });
});
