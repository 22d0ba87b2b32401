import test from 'ava';
import { laidOut } from '../src/sql-layout.ts';

test('clauses and subqueries get lines of their own', (t) => {
  const sql =
    "WITH a AS (SELECT x.r AS r, SUM(CASE WHEN s = 'FROM (SELECT' THEN v END) AS n FROM t AS x LEFT JOIN u ON x.i = u.i AND x.k IS NOT DISTINCT FROM u.k WHERE EXTRACT(YEAR FROM x.d) = 2025 GROUP BY x.r), b AS (SELECT 1 AS r UNION SELECT 2) SELECT a.r, (SELECT MAX(n) FROM a) AS m, ROW_NUMBER() OVER (PARTITION BY r ORDER BY n) FROM a CROSS JOIN b ORDER BY a.r NULLS LAST LIMIT 10";
  t.is(
    laidOut(sql),
    `WITH a AS (
  SELECT x.r AS r, SUM(CASE WHEN s = 'FROM (SELECT' THEN v END) AS n
  FROM t AS x
  LEFT JOIN u ON x.i = u.i AND x.k IS NOT DISTINCT FROM u.k
  WHERE EXTRACT(YEAR FROM x.d) = 2025
  GROUP BY x.r
),
b AS (
  SELECT 1 AS r
  UNION
  SELECT 2
)
SELECT a.r, (
  SELECT MAX(n)
  FROM a
) AS m, ROW_NUMBER() OVER (PARTITION BY r ORDER BY n)
FROM a
CROSS JOIN b
ORDER BY a.r NULLS LAST
LIMIT 10`,
  );
});

const KEPT = [
  "SELECT 'it\\'s FROM here' FROM t",
  'SELECT $$ FROM $$ FROM t',
  'SELECT 1 -- FROM t',
  'SELECT 1 /* FROM */ FROM t',
  'SELECT 1\nFROM t',
  "SELECT ['a]  FROM b'] FROM t",
  'SELECT [a  FROM b] FROM t',
];

test('what could be read in two ways stays as it is', (t) => {
  for (const sql of KEPT) t.is(laidOut(sql), sql);
});

test('nothing but white space between tokens changes', (t) => {
  const pieces = [
    "'a  FROM  b'",
    '"SELECT  x"',
    '`WHERE  y`',
    'SELECT',
    'FROM',
    '(',
    ')',
    ',',
    'LEFT JOIN',
    'x.y',
    'größe',
    '=',
    '1',
    "''",
    'WITH',
    'DISTINCT',
    'UNION ALL',
  ];
  let seed = 7;
  const next = (): number => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed;
  };
  const squeezed = (sql: string): string => (sql.match(/'(?:[^']|'')*'|"[^"]*"|`[^`]*`|\S/gu) ?? []).join('\u0001');
  for (let round = 0; round < 500; round++) {
    const sql = Array.from({ length: 3 + (next() % 25) }, () => pieces[next() % pieces.length]).join(' ');
    t.is(squeezed(laidOut(sql)), squeezed(sql), sql);
  }
});
