import test from 'ava';
import { formatRequirement, mergeRequirements, normalizedName, parseRequirement } from '../tasks/requirements.ts';

const merged = (...texts: string[]) =>
  mergeRequirements(texts.map((text, i) => parseRequirement(text, `${'ab'[i] ?? 'c'}.toml`))).map(formatRequirement);

const UNIONS: readonly [string, readonly string[], readonly string[]][] = [
  ['a stronger floor wins', ['pydantic>=2', 'pydantic>=2.9.0'], ['pydantic>=2.9.0']],
  ['equal floors in two spellings stay one', ['x>=2', 'x>=2.0'], ['x>=2']],
  ['names are compared normalised', ['Typing_Extensions>=4', 'typing.extensions>=4.1'], ['typing-extensions>=4.1']],
  ['extras of one name are merged', ['uvicorn[standard]>=1', 'uvicorn[dev]>=1'], ['uvicorn[dev,standard]>=1']],
  ['floor and ceiling are both kept', ['x>=2', 'x<4'], ['x>=2,<4']],
  ['a pin within the range replaces it', ['x==2.5', 'x>=2,<3'], ['x==2.5']],
  ['an exclusion is kept', ['x>=2', 'x!=2.1'], ['x>=2,!=2.1']],
  ['a strict bound implies the loose one', ['x>2', 'x>=2'], ['x>2']],
  [
    'markers keep declarations apart',
    ["x>=1 ; python_version<'3.14'", 'x>=1'],
    ['x>=1', "x>=1 ; python_version<'3.14'"],
  ],
  ['the result is sorted', ['b', 'a'], ['a', 'b']],
];

for (const [name, texts, expected] of UNIONS) {
  test(`union: ${name}`, (t) => {
    t.deepEqual(merged(...texts), expected);
  });
}

const CONTRADICTIONS = [
  ['x<2', 'x>=3'],
  ['x==1.0', 'x>=2'],
  ['x>2', 'x<=2'],
  ['x==1.0', 'x==1.1'],
  ['x~=1.4', 'x>=2'],
];

for (const texts of CONTRADICTIONS) {
  test(`union: ${texts.join(' with ')} is refused naming both files`, (t) => {
    const error = t.throws(() => merged(...texts));
    t.regex(error.message, /a\.toml.*b\.toml/s);
  });
}

for (const text of ['x @ file:///tmp/x', './local', 'x>=', '', 'x>=1 <2']) {
  test(`parse: ${JSON.stringify(text)} is refused`, (t) => {
    t.throws(() => parseRequirement(text, 'a.toml'), { message: /a\.toml/ });
  });
}

test('parse: parentheses, spaces and markers', (t) => {
  t.deepEqual(parseRequirement('A.b_C [X, y] (>=1, <2) ; sys_platform  ==  "win32"', 'a.toml'), {
    name: 'a-b-c',
    extras: ['x', 'y'],
    specifiers: [
      { operator: '>=', version: '1' },
      { operator: '<', version: '2' },
    ],
    marker: 'sys_platform == "win32"',
    from: 'a.toml',
  });
  t.is(normalizedName('A__b.-c'), 'a-b-c');
});
