/**
 * The form of an archive: every field of every header, in the order it lies in
 * the file, beside the members' bytes. Nothing in the file is left unaccounted
 * for: a gap, a second copy of a header that disagrees or bytes after the end
 * are refused.
 *
 * `archives.ts` says what an archive holds; this says how it was written, which
 * is what a repeated build must repeat. Formats: PKWARE APPNOTE 6.3.3 (zip),
 * RFC 1952 (gzip), POSIX.1-2008 pax (ustar).
 */
import { crc32, inflateRawSync } from 'node:zlib';
import { BuildError } from './errors.ts';

export type Fields = Readonly<Record<string, string | number>>;

export interface MemberForm {
  readonly name: string;
  /** Header fields by the name that their format gives them; numbers as values, `mode` in octal. */
  readonly fields: Fields;
  readonly content: Buffer;
}

export interface ArchiveForm {
  /** Fields of the archive as a whole. */
  readonly fields: Fields;
  readonly members: readonly MemberForm[];
}

/** The form of a wheel (zip) or a gzipped tarball by its bytes; `file` is named in messages. */
export function archiveForm(file: string, bytes: Buffer): ArchiveForm {
  const fail: Fail = (problem) => {
    throw new BuildError(
      'archive',
      `${file} is no sound ${file.endsWith('.whl') ? 'zip archive' : 'tarball'}: ${problem}`,
      'Build it again with `gulp artifacts --force`.',
    );
  };
  try {
    return file.endsWith('.whl') ? zipForm(bytes, fail) : tarballForm(bytes, fail);
  } catch (error) {
    if (error instanceof BuildError) throw error;
    return fail((error as Error).message);
  }
}

type Fail = (problem: string) => never;

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const END_BYTES = 22;

function zipForm(bytes: Buffer, fail: Fail): ArchiveForm {
  const end = bytes.length - END_BYTES;
  if (end < 0 || bytes.readUInt32LE(end) !== END) fail('it does not end with its directory');
  const count = bytes.readUInt16LE(end + 10);
  const [size, start] = [bytes.readUInt32LE(end + 12), bytes.readUInt32LE(end + 16)];
  if (bytes.readUInt32LE(end + 4) !== 0 || bytes.readUInt16LE(end + 8) !== count) fail('it is one of several parts');
  if (bytes.readUInt16LE(end + 20) !== 0) fail('it says that a comment follows');
  const members: MemberForm[] = [];
  let [local, central] = [0, start];
  for (let i = 0; i < count; i += 1) {
    if (bytes.readUInt32LE(central) !== CENTRAL) fail(`entry ${i + 1} of its directory is none`);
    const lengths = [28, 30, 32].map((at) => bytes.readUInt16LE(central + at)) as [number, number, number];
    const [nameEnd, extraEnd] = [central + 46 + lengths[0], central + 46 + lengths[0] + lengths[1]];
    const raw = bytes.subarray(central + 46, nameEnd);
    const name = raw.toString('utf8');
    if (bytes.readUInt32LE(central + 42) !== local) fail(`${name} does not follow the member before it`);
    const [compressed, bare] = [bytes.readUInt32LE(central + 20), bytes.readUInt32LE(central + 24)];
    const method = bytes.readUInt16LE(central + 10);
    const same = bytes.subarray(central + 6, central + 30).equals(bytes.subarray(local + 4, local + 28));
    if (bytes.readUInt32LE(local) !== LOCAL || !same || bytes.readUInt16LE(local + 28) !== 0)
      fail(`the header of ${name} is not what the directory says`);
    const data = local + 30 + raw.length;
    if (!bytes.subarray(local + 30, data).equals(raw)) fail(`the header of ${name} has another name`);
    const stored = bytes.subarray(data, data + compressed);
    const content = method === 0 ? stored : inflate(stored, name, fail);
    if (content.length !== bare || crc32(content) !== bytes.readUInt32LE(central + 16))
      fail(`${name} has another size or checksum than its header says`);
    const attributes = bytes.readUInt32LE(central + 38);
    members.push({
      name,
      content,
      fields: {
        'version made by': bytes.readUInt16LE(central + 4),
        'version needed': bytes.readUInt16LE(central + 6),
        flags: bytes.readUInt16LE(central + 8),
        method,
        mtime: dosTime(bytes.readUInt16LE(central + 14), bytes.readUInt16LE(central + 12)),
        'extra field': bytes.toString('hex', nameEnd, extraEnd),
        comment: bytes.toString('hex', extraEnd, extraEnd + lengths[2]),
        disk: bytes.readUInt16LE(central + 34),
        'internal attributes': bytes.readUInt16LE(central + 36),
        mode: octal(attributes >>> 16),
        'DOS attributes': attributes & 0xffff,
        size: bare,
        'compressed size': compressed,
      },
    });
    local = data + compressed;
    central = extraEnd + lengths[2];
  }
  if (local !== start) fail('bytes that belong to no member lie before its directory');
  if (central !== end || start + size !== end) fail('its directory has another size than it says');
  return { fields: { members: count }, members };
}

/** `2020-02-02 00:00:00`, to two seconds. */
function dosTime(date: number, time: number): string {
  const two = (n: number) => String(n).padStart(2, '0');
  const day = `${1980 + (date >> 9)}-${two((date >> 5) & 15)}-${two(date & 31)}`;
  return `${day} ${two(time >> 11)}:${two((time >> 5) & 63)}:${two((time & 31) * 2)}`;
}

const octal = (mode: number) => `0${mode.toString(8)}`;

/** Inflate exactly these bytes; what follows the end of the stream is refused. */
function inflate(stored: Buffer, name: string, fail: Fail): Buffer {
  const { buffer, engine } = inflateRawSync(stored, { info: true }) as unknown as {
    buffer: Buffer;
    engine: { bytesWritten: number };
  };
  if (engine.bytesWritten !== stored.length) fail(`bytes follow the end of ${name}`);
  return buffer;
}

const BLOCK = 512;
const GZIP_HEAD = 10;
const GZIP_TAIL = 8;

function tarballForm(bytes: Buffer, fail: Fail): ArchiveForm {
  if (bytes.readUInt16BE(0) !== 0x1f8b || bytes[2] !== 8) fail('it is no gzip file');
  if (bytes[3] !== 0) fail(`its gzip header has the flags ${bytes[3]}`);
  const tail = bytes.length - GZIP_TAIL;
  const tar = inflate(bytes.subarray(GZIP_HEAD, tail), 'the gzip stream', fail);
  if (crc32(tar) !== bytes.readUInt32LE(tail) || tar.length % 2 ** 32 !== bytes.readUInt32LE(tail + 4))
    fail('its gzip trailer has another checksum or size');
  const members: MemberForm[] = [];
  let at = 0;
  let extended: MemberForm | undefined;
  while (at < tar.length && !isZero(tar.subarray(at, at + BLOCK))) {
    const member = tarMember(tar, at, fail);
    if (member.fields.type === 'x') extended = member;
    else {
      members.push(extended ? withExtended(member, extended) : member);
      extended = undefined;
    }
    const end = at + BLOCK + member.content.length;
    at = Math.ceil(end / BLOCK) * BLOCK;
    if (!isZero(tar.subarray(end, at))) fail(`the padding after ${member.name} is not empty`);
  }
  if (extended || !isZero(tar.subarray(at))) fail('bytes follow its end');
  const fields = {
    'gzip mtime': bytes.readUInt32LE(4),
    'gzip extra flags': bytes[8] as number,
    'gzip system': bytes[9] as number,
    'blocks after the end': (tar.length - at) / BLOCK,
  };
  return { fields, members };
}

/** A name too long or too foreign for the header stands in an extended header before it. */
function withExtended({ name, fields, content }: MemberForm, extended: MemberForm): MemberForm {
  const records = extended.content.toString('utf8');
  const path = /(?:^|\n)\d+ path=([^\n]*)\n/.exec(records)?.[1];
  return { name: path ?? name, content, fields: { ...fields, 'extended header': records } };
}

function tarMember(tar: Buffer, at: number, fail: Fail): MemberForm {
  const header = tar.subarray(at, at + BLOCK);
  if (header.length < BLOCK) fail('it ends within a header');
  const text = (from: number, to: number) => header.toString('utf8', from, to).replace(/\0+$/, '');
  const raw = (from: number, to: number) => header.toString('latin1', from, to);
  const number = (from: number, to: number) => {
    const digits = /^ *([0-7]*)[ \0]*$/.exec(raw(from, to))?.[1];
    if (digits === undefined) return fail(`the header at ${at} holds no octal number at ${from}`);
    return Number.parseInt(digits || '0', 8);
  };
  const prefix = text(345, 500);
  const name = prefix === '' ? text(0, 100) : `${prefix}/${text(0, 100)}`;
  const blank = Buffer.from(header).fill(' ', 148, 156);
  if (blank.reduce((sum, byte) => sum + byte, 0) !== number(148, 156)) fail(`the header of ${name} is damaged`);
  const size = number(124, 136);
  const content = tar.subarray(at + BLOCK, at + BLOCK + size);
  if (content.length < size) fail(`it ends within ${name}`);
  const fields = {
    mode: octal(number(100, 108)),
    uid: number(108, 116),
    gid: number(116, 124),
    size,
    mtime: number(136, 148),
    type: raw(156, 157),
    'link name': text(157, 257),
    magic: raw(257, 265),
    owner: text(265, 297),
    group: text(297, 329),
    device: `${number(329, 337)},${number(337, 345)}`,
    'unused bytes': header.toString('hex', 500, 512).replace(/^0+$/, ''),
    // how numbers are padded differs by writer, not by member
    notation: [100, 108, 116, 136, 329, 337].map((from) => raw(from, from + 8).replaceAll(/[0-7]/g, '0')).join('|'),
  };
  return { name, fields, content };
}

/** Also for long ones: `every` is slow on buffers. */
const isZero = (bytes: Buffer) => bytes.equals(Buffer.alloc(bytes.length));
