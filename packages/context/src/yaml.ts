/**
 * YAML 1.2 with positions: every complaint can point at a line and a column.
 *
 * 1.2 matters: in 1.1 the key `on` of a join is the boolean true. Duplicate keys are errors, since
 * the last one silently winning would hide half of a definition.
 */
import {
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  stringify,
} from 'yaml';

export interface Position {
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 code units. */
  readonly column: number;
}

export interface YamlProblem extends Position {
  readonly message: string;
}

export type Path = readonly (string | number)[];

export interface YamlFile {
  /** The plain value, or undefined where the text could not be read. */
  readonly value: unknown;
  readonly problems: readonly YamlProblem[];
  /** Where the value at `path` stands; where it is missing, its nearest existing parent. */
  position(path: Path): Position;
  /** Where the key of `path` stands (its value for list items). */
  keyPosition(path: Path): Position;
}

export function parseYaml(text: string): YamlFile {
  const lines = new LineCounter();
  const document = parsed(text, lines);
  if (document === undefined) return unreadable('nested too deeply');
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const problems: YamlProblem[] = document.errors.map((error) => ({
    message: sentence(error.message),
    ...at(error.pos[0]),
  }));
  let value: unknown;
  if (problems.length === 0) {
    try {
      value = document.toJS({ maxAliasCount: 100 });
    } catch (error) {
      problems.push({ message: sentence((error as Error).message), line: 1, column: 1 });
    }
  }
  const offsetOf = (path: Path, wanted: 'key' | 'value'): number => {
    let node: unknown = document.contents;
    let offset = start(node) ?? 0;
    for (const [depth, step] of path.entries()) {
      if (isAlias(node)) node = node.resolve(document);
      const last = depth === path.length - 1;
      if (isMap(node)) {
        const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(step));
        if (pair === undefined || !isPair(pair)) return offset;
        const key = start(pair.key) ?? offset;
        offset = last && wanted === 'key' ? key : (start(pair.value) ?? key);
        node = pair.value;
      } else if (isSeq(node) && typeof step === 'number' && isNode(node.items[step])) {
        node = node.items[step];
        offset = start(node) ?? offset;
      } else return offset;
    }
    return offset;
  };
  return {
    value,
    problems,
    position: (path) => at(offsetOf(path, 'value')),
    keyPosition: (path) => at(offsetOf(path, 'key')),
  };
}

/** Undefined for a document that is nested deeper than the stack. */
function parsed(text: string, lineCounter: LineCounter) {
  try {
    return parseDocument(text, { lineCounter, merge: true, prettyErrors: false });
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function unreadable(message: string): YamlFile {
  const top = { line: 1, column: 1 };
  return { value: undefined, problems: [{ message, ...top }], position: () => top, keyPosition: () => top };
}

function start(node: unknown): number | undefined {
  return isNode(node) ? (node as Node).range?.[0] : undefined;
}

/** The library's message without its trailing code frame; it also reports a full stack as one. */
function sentence(message: string): string {
  if (/call stack/.test(message)) return 'nested too deeply';
  return (message.split('\n')[0] ?? message).replace(/[:.]$/, '');
}

/** A plain value as YAML 1.2, keys in their order. */
export function yamlText(value: unknown): string {
  return stringify(value, { lineWidth: 100 });
}
