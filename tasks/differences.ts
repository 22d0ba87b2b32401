/**
 * Where two builds of one artifact differ first, as precisely as its format
 * allows: the member, its header field, the key of a JSON document, the offset.
 */
import { type ArchiveForm, archiveForm, type Fields } from './archive-form.ts';

/** The first difference of two files of one name; undefined when they are the same bytes. */
export function firstDifference(path: string, a: Buffer, b: Buffer): string | undefined {
  if (a.equals(b)) return undefined;
  return `${path}: ${difference(path, a, b)}`;
}

function difference(path: string, a: Buffer, b: Buffer): string {
  const bytes = byteDifference(a, b);
  if (/\.(whl|tgz|tar\.gz)$/.test(path)) {
    const [one, other] = [form(path, a), form(path, b)];
    const inside = one && other && formDifference(one, other);
    return inside ?? (one && other ? `the same members are compressed otherwise, ${bytes}` : bytes);
  }
  if (path.endsWith('.json')) {
    const inside = jsonDifference(json(a), json(b), []);
    return inside ?? `only its white space or the order of its keys differs, ${bytes}`;
  }
  return bytes;
}

function formDifference(a: ArchiveForm, b: ArchiveForm): string | undefined {
  for (const [i, one] of a.members.entries()) {
    const other = b.members[i];
    if (one.name !== other?.name) return memberDifference(a, b, i);
    if (!one.content.equals(other.content))
      return `member ${one.name}: ${difference(one.name, one.content, other.content)}`;
    const field = fieldDifference(one.fields, other.fields);
    if (field) return `member ${one.name}: ${field}`;
  }
  const more = b.members[a.members.length];
  return more ? memberDifference(a, b, a.members.length) : fieldDifference(a.fields, b.fields);
}

/** The members at `i` have other names: one is missing, one is new, or they changed places. */
function memberDifference(a: ArchiveForm, b: ArchiveForm, i: number): string {
  const [one, other] = [a.members[i]?.name, b.members[i]?.name];
  const [inA, inB] = [a, b].map(({ members }) => new Set(members.map(({ name }) => name))) as [
    Set<string>,
    Set<string>,
  ];
  if (one !== undefined && !inB.has(one)) return `member ${one} is only in the first`;
  if (other !== undefined && !inA.has(other)) return `member ${other} is only in the second`;
  return `member ${i + 1} is ${one} in the first, ${other} in the second`;
}

function fieldDifference(a: Fields, b: Fields): string | undefined {
  const name = Object.keys({ ...a, ...b }).find((one) => a[one] !== b[one]);
  return name === undefined
    ? undefined
    : `${name} is ${String(a[name])} in the first, ${String(b[name])} in the second`;
}

function jsonDifference(a: unknown, b: unknown, path: readonly string[]): string | undefined {
  if (isObject(a) && isObject(b)) {
    const keys = Object.keys({ ...a, ...b });
    for (const key of keys) {
      const inside = jsonDifference(a[key], b[key], [...path, key]);
      if (inside) return inside;
    }
    return undefined;
  }
  const [one, other] = [JSON.stringify(a), JSON.stringify(b)];
  if (one === other) return undefined;
  return `${path.join('.') || 'the whole'} is ${one ?? 'absent'} in the first, ${other ?? 'absent'} in the second`;
}

const isObject = (value: unknown): value is Record<string, unknown> => value !== null && typeof value === 'object';

function byteDifference(a: Buffer, b: Buffer): string {
  const shorter = Math.min(a.length, b.length);
  let at = 0;
  while (at < shorter && a[at] === b[at]) at += 1;
  const sizes = a.length === b.length ? '' : `, ${a.length} and ${b.length} bytes long`;
  const line = a.subarray(0, at).filter((byte) => byte === 0x0a).length + 1;
  return `from offset ${at} (line ${line}) on${sizes}`;
}

function form(path: string, bytes: Buffer): ArchiveForm | undefined {
  try {
    return archiveForm(path, bytes);
  } catch {
    return undefined; // no sound archive: its bytes are all that can be compared
  }
}

function json(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return bytes.toString('utf8');
  }
}
