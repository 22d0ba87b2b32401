/**
 * The loader against Python's on models broken at random: what Python accepts loads equal here, what it refuses is a
 * problem here. Python stops at the first fault; this loader goes on, so only "any error" is compared then.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import test from 'ava';
import { loadSources, parseProject, parseYaml, yamlText } from '../src/index.ts';
import { corpus } from './_support/corpus.ts';
import { needsPython, workspacePython } from './_support/python.ts';
import { temporaryTree } from './_support/tree.ts';

const ROUNDS = 120;
const PROGRAM = `
import json, sys
from semantic_layer.loader import SourceLoader
from semantic_layer.models import SourceDefinition
results = []
for line in sys.stdin:
    case = json.loads(line)
    try:
        theirs = [one.model_dump(mode="json") for one in SourceLoader(case["dir"]).load_all().values()]
    except Exception as error:
        results.append({"error": str(error)})
        continue
    try:
        # What does not validate is no equal of anything.
        ours = [SourceDefinition.model_validate(one).model_dump(mode="json") for one in case["sources"]]
    except ValueError as error:
        ours = str(error)
    results.append({"ours": ours, "theirs": theirs})
json.dump(results, sys.stdout)
`;

/** Numbers below `limit`, the same ones in every run. */
function dice(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/** Every place in a document, as the holder and the key. */
function places(value: unknown): [holder: Record<string, unknown>, key: string][] {
  if (typeof value !== 'object' || value === null) return [];
  const holder = value as Record<string, unknown>;
  return Object.keys(holder).flatMap(
    (key) => [[holder, key], ...places(holder[key])] as [Record<string, unknown>, string][],
  );
}

const VALUES: readonly unknown[] = [
  null,
  '',
  'text',
  7,
  true,
  [],
  {},
  ['id'],
  'customers',
  'orders',
  'id',
  'time',
  'many_to_one',
];

function broken(document: unknown, roll: (limit: number) => number): unknown {
  const copy = structuredClone(document);
  const all = places(copy);
  const place = all[roll(all.length)];
  if (place === undefined) return copy;
  const [holder, key] = place;
  const kind = roll(4);
  if (kind === 0 && Array.isArray(holder)) holder.splice(Number(key), 1);
  else if (kind === 0) delete holder[key];
  else if (kind === 1 && !Array.isArray(holder)) {
    holder[
      ['extra', 'descriptions', 'exclude_columns', 'disable_joins', 'description', 'sql', 'table'][roll(7)] as string
    ] = VALUES[roll(VALUES.length)];
  } else holder[key] = structuredClone(VALUES[roll(VALUES.length)]);
  return copy;
}

/** Values of the wrong kind in overlays that Python passes over where they are empty or have no effect. */
const STRICTER =
  /^(name|descriptions|columns?|column_overrides|exclude_columns|disable_joins|measures|segments|joins)\b.* must be /;

test('models broken at random are judged and composed as Python does', (t) => {
  if (!needsPython(t, 'semantic_layer.loader')) return;
  const at = temporaryTree(t);
  const project = parseProject('connections:\n  shop: {driver: sqlite, path: x}\n', at);
  const documents = Object.entries(corpus)
    .filter(([path]) => /\.yaml$/.test(path) && path !== 'ktx.yaml')
    .map(([path, text]) => [path, parseYaml(text).value] as const);
  const cases = Array.from({ length: ROUNDS }, (_, round) => {
    const roll = dice(round + 1);
    const root = join(at, String(round));
    const victim = roll(documents.length);
    for (const [index, [path, document]] of documents.entries()) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), yamlText(index === victim ? broken(document, roll) : document));
    }
    const { sources, problems } = loadSources({ ...project, root });
    return {
      dir: join(root, 'semantic-layer/shop'),
      file: documents[victim]?.[0] ?? '',
      sources: sources.map(({ definition }) => definition),
      // Python drops an overlay on nothing with a log line; here it is said.
      errors: problems.filter(
        ({ severity, message }) => severity === 'error' && !/has neither table nor sql/.test(message),
      ),
    };
  });
  const output = execFileSync(workspacePython, ['-I', '-B', '-X', 'utf8', '-c', PROGRAM], {
    input: cases.map((one) => JSON.stringify(one)).join('\n'),
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  const results = JSON.parse(output) as ({ error: string } | { ours: unknown; theirs: unknown })[];
  let accepted = 0;
  const differences: string[] = [];
  for (const [round, result] of results.entries()) {
    const { errors, file } = cases[round] as (typeof cases)[number];
    const label = `round ${round}, ${file}`;
    if ('error' in result) {
      if (errors.length === 0) differences.push(`${label}: only Python refuses: ${result.error}`);
      continue;
    }
    accepted++;
    if (errors.length > 0 && errors.every(({ message }) => STRICTER.test(message))) continue;
    if (errors.length > 0) differences.push(`${label}: Python accepts: ${JSON.stringify(errors)}`);
    else if (!isDeepStrictEqual(result.ours, result.theirs)) {
      differences.push(`${label}: ${JSON.stringify(result.ours)} is not ${JSON.stringify(result.theirs)}`);
    }
  }
  t.deepEqual(differences, []);
  t.true(accepted > ROUNDS / 10 && accepted < ROUNDS, `${accepted} of ${ROUNDS} accepted`);
});
