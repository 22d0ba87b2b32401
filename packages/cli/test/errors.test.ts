import test from 'ava';
import { asRefusal } from '../src/errors.ts';
import { failureDocument } from '../src/failure.ts';

function thrown(code: string, syscall?: string, path?: string): Error {
  return Object.assign(new Error(`${code}: in the words of the system`), { code, syscall, path });
}

const ROWS: readonly (readonly [error: Error, message: string])[] = [
  [thrown('ENOSPC', 'write'), 'cannot write: no space is left on the disk'],
  [thrown('EROFS', 'mkdir', '/a/b'), '/a/b cannot be written: the file system is read-only'],
  [thrown('EACCES', 'scandir', '/a'), '/a cannot be read: permission is denied'],
  [thrown('EACCES', 'open', '/a'), '/a cannot be opened: permission is denied'],
  [thrown('EMFILE', 'open', '/a'), '/a cannot be opened: too many files are open'],
];

test('what the system refuses is told with the file and a hint, and is no defect', (t) => {
  for (const [error, message] of ROWS) {
    const { error: told } = failureDocument(error, 'sl list');
    t.like(told, { code: 'file_system', message });
    t.truthy(told.hint);
  }
  t.is(
    asRefusal(thrown('ENOSPC', 'write'), '/a/ktx.yaml')?.message,
    '/a/ktx.yaml cannot be written: no space is left on the disk',
  );
  t.is(asRefusal(thrown('ENOENT', 'open', '/a')), undefined);
  t.is(asRefusal(thrown('EACCES')), undefined, 'a code of ours that looks like one');
});
