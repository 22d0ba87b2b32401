/** Archives written again from their form, as another tool would write them. */
import { crc32, deflateRawSync, gzipSync } from 'node:zlib';
import type { ArchiveForm, Fields, MemberForm } from '../../tasks/archive-form.ts';

export function rearchive(file: string, form: ArchiveForm): Buffer {
  return file.endsWith('.whl') ? zip(form) : tarball(form);
}

/** The same archive with some members changed. */
export function changed(form: ArchiveForm, change: (members: MemberForm[]) => MemberForm[]): ArchiveForm {
  return { ...form, members: change([...form.members]) };
}

function zip({ members }: ArchiveForm): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, fields, content } of members) {
    const raw = Buffer.from(name);
    const data = fields.method === 0 ? content : deflateRawSync(content);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(Number(fields['version needed']), 0);
    common.writeUInt16LE(Number(fields.flags), 2);
    common.writeUInt16LE(Number(fields.method), 4);
    common.writeUInt32LE(dosTime(String(fields.mtime)), 6);
    common.writeUInt32LE(crc32(content), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(content.length, 18);
    common.writeUInt16LE(raw.length, 22);
    const extra = Buffer.from(String(fields['extra field']), 'hex');
    const comment = Buffer.from(String(fields.comment), 'hex');
    parts.push(Buffer.from('504b0304', 'hex'), common, raw, data);
    const central = Buffer.alloc(46);
    central.writeUInt32LE(0x02014b50, 0);
    central.writeUInt16LE(Number(fields['version made by']), 4);
    common.copy(central, 6);
    central.writeUInt16LE(extra.length, 30);
    central.writeUInt16LE(comment.length, 32);
    central.writeUInt16LE(Number(fields['internal attributes']), 36);
    const attributes = Number.parseInt(String(fields.mode), 8) * 0x10000 + Number(fields['DOS attributes']);
    central.writeUInt32LE(attributes, 38);
    central.writeUInt32LE(offset, 42);
    directory.push(central, raw, extra, comment);
    offset += 30 + raw.length + data.length;
  }
  const listing = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(members.length, 8);
  end.writeUInt16LE(members.length, 10);
  end.writeUInt32LE(listing.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, listing, end]);
}

function dosTime(text: string): number {
  const [year, month, day, hour, minute, second] = text.split(/\D/).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const date = ((year - 1980) << 9) | (month << 5) | day;
  return date * 0x10000 + ((hour << 11) | (minute << 5) | (second >> 1));
}

function tarball({ members, fields }: ArchiveForm): Buffer {
  const blocks = members.flatMap(({ name, fields: own, content }) => [
    header(name, own, content.length),
    content,
    Buffer.alloc((512 - (content.length % 512)) % 512),
  ]);
  const tar = Buffer.concat([...blocks, Buffer.alloc(512 * Number(fields['blocks after the end']))]);
  const bytes = gzipSync(tar, { level: 9 });
  bytes.writeUInt32LE(Number(fields['gzip mtime']), 4);
  bytes[8] = Number(fields['gzip extra flags']);
  bytes[9] = Number(fields['gzip system']);
  return bytes;
}

function header(name: string, fields: Fields, size: number): Buffer {
  const bytes = Buffer.alloc(512);
  const cut = name.length > 100 ? name.lastIndexOf('/', 155) : -1;
  bytes.write(name.slice(cut + 1), 0);
  if (cut > 0) bytes.write(name.slice(0, cut), 345);
  const [mode, uid, gid, mtime, major, minor] = String(fields.notation).split('|') as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  const number = (value: number, notation: string, at: number, width: number) => {
    if (/^\0*$/.test(notation) && value === 0) return;
    const tail = /0[ \0]+$/.test(notation) ? notation.replace(/^[0]+/, '') : '\0';
    bytes.write(value.toString(8).padStart(width - tail.length, '0') + tail, at, 'latin1');
  };
  number(Number.parseInt(String(fields.mode), 8), mode, 100, 8);
  number(Number(fields.uid), uid, 108, 8);
  number(Number(fields.gid), gid, 116, 8);
  bytes.write(`${size.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  bytes.write(`${Number(fields.mtime).toString(8).padStart(11, '0')}\0`, 136, 'latin1');
  if (mtime.endsWith(' ')) bytes.write(' ', 147);
  bytes.write(String(fields.type), 156);
  bytes.write(String(fields['link name']), 157);
  bytes.write(String(fields.magic), 257, 'latin1');
  bytes.write(String(fields.owner), 265);
  bytes.write(String(fields.group), 297);
  number(0, major, 329, 8);
  number(0, minor, 337, 8);
  bytes.fill(' ', 148, 156);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return bytes;
}
