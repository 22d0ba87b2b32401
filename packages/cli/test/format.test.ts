import test from 'ava';
import { csv, displayWidth, table } from '../src/format.ts';

test('a table aligns numbers right and text left, two spaces apart, without trailing blanks', (t) => {
  const columns = [
    { header: 'name', align: 'left' },
    { header: 'total', align: 'right' },
    { header: 'note', align: 'left' },
  ] as const;
  t.is(
    table(columns, [
      ['Ada', 7, 'x'],
      ['日本', '1234567', null],
      ['a\nb\u001b[31m', null, ''],
    ]),
    ['name         total  note', 'Ada              7  x', '日本       1234567  NULL', 'a\\nb\ufffd[31m     NULL'].join(
      '\n',
    ),
  );
});

test('a table without rows is its head', (t) => {
  t.is(table([{ header: 'a', align: 'left' }], []), 'a');
});

test('csv quotes what needs it and keeps NULL and the empty text apart', (t) => {
  t.is(
    csv(
      ['a', 'b"c'],
      [
        ['x,y', 'say "hi"'],
        ['two\nlines', ' padded'],
        [null, ''],
        [1.5, true],
        [{ k: [1] }, '\\x00ff'],
      ],
    ),
    'a,"b""c"\r\n"x,y","say ""hi"""\r\n"two\nlines"," padded"\r\n,""\r\n1.5,true\r\n"{""k"":[1]}",\\x00ff\r\n',
  );
});

for (const [text, width] of [
  ['abc', 3],
  ['größe', 5],
  ['日本語', 6],
  ['e\u0301', 1],
  ['😀', 2],
  ['👩‍👩‍👧', 2],
  ['한', 2],
] as const) {
  test(`'${text}' takes ${width} columns`, (t) => t.is(displayWidth(text), width));
}
