/**
 * JSON that others will rely on: parsed so that a repeated key, a trailing comma
 * or a comment is refused, and written in one way.
 */
import { type Node, type ParseError, parseTree, printParseErrorCode } from 'jsonc-parser';
import { BuildError } from './errors.ts';

/** Parse strictly; `file` is named in the message. */
export function parseStrict(text: string, file: string): unknown {
  const errors: ParseError[] = [];
  const tree = parseTree(text, errors, { disallowComments: true, allowTrailingComma: false });
  const [error] = errors;
  if (!tree || error) {
    const what = error ? `${printParseErrorCode(error.error)} at offset ${error.offset}` : 'it is empty';
    throw new BuildError('json', `${file} is no valid JSON: ${what}`, 'Restore the file as it was built.');
  }
  const twice = repeatedKey(tree);
  if (twice !== undefined) {
    throw new BuildError('json', `${file} holds the key ${JSON.stringify(twice)} twice`, 'Keep one of the two.');
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    // stricter than the parser above about control characters and numbers
    throw new BuildError(
      'json',
      `${file} is no valid JSON: ${(cause as Error).message}`,
      'Restore the file as built.',
      {
        cause,
      },
    );
  }
}

/** 2-space JSON with a final newline; keys stay in the order given. */
export function prettyJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** One text for equal values, whatever the order of keys and the white space: what a digest is taken of. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

function repeatedKey(node: Node): string | undefined {
  const seen = new Set<string>();
  for (const child of node.children ?? []) {
    if (node.type === 'object') {
      const key = child.children?.[0]?.value as string;
      if (seen.has(key)) return key;
      seen.add(key);
    }
    const below = repeatedKey(child);
    if (below !== undefined) return below;
  }
  return undefined;
}
