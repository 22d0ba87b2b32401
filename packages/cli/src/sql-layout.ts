/**
 * A statement laid out for a reader: clauses on lines of their own, subqueries indented.
 *
 * Only white space between tokens changes. Where strings could be read in two ways (backslashes, brackets, dollar
 * quotes, comments) the statement stays as it is. Pipes always get the engine's own text.
 */

const CLAUSE =
  /^(?:WITH|SELECT|FROM|WHERE|GROUP BY|HAVING|QUALIFY|ORDER BY|LIMIT|UNION|EXCEPT|INTERSECT|SETTINGS|(?:(?:LEFT|RIGHT|FULL|INNER|CROSS) (?:OUTER )?)?JOIN)\b/;
const TOKEN = /'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|[A-Za-z_][\w$]*|\s+|./gsu;
const UNSURE = /[\\[\n]|\$\$|--|\/\*/;
const LONG = 100_000;

export function laidOut(sql: string): string {
  if (sql.length > LONG || UNSURE.test(sql)) return sql;
  const tokens = [...sql.matchAll(TOKEN)];
  /** Open brackets: true for those around a query. */
  const brackets: boolean[] = [];
  let text = '';
  let inWith = false;
  let skipTo = 0;
  const newLine = (): void => {
    text = `${text.trimEnd()}\n${'  '.repeat(brackets.filter(Boolean).length)}`;
  };
  for (const { 0: token, index } of tokens) {
    if (index < skipTo) {
      text += token;
      continue;
    }
    const rest = sql.slice(index);
    const inQuery = brackets.at(-1) !== false;
    if (token === '(') {
      text += token;
      brackets.push(/^\(\s*(?:SELECT|WITH)\b/.test(rest));
      if (brackets.at(-1)) newLine();
    } else if (token === ')') {
      const query = brackets.pop();
      if (query) newLine();
      text += token;
    } else if (token === ',' && inWith && brackets.length === 0) {
      text += token;
      newLine();
    } else if (inQuery && /^[A-Z]/.test(token) && CLAUSE.test(rest) && !/(?:DISTINCT|\.)\s*$/.test(text)) {
      if (brackets.length === 0) inWith = token === 'WITH';
      if (text !== '' && !/\n\s*$/.test(text)) newLine();
      skipTo = index + (CLAUSE.exec(rest)?.[0].length ?? 0);
      text += token;
    } else if (!/^\s/.test(token) || !/\n\s*$/.test(text)) text += token;
  }
  return text.trim();
}
