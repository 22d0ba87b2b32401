/**
 * Walks a folder over and over until its standard input ends, and then prints what it met as JSON: the number of
 * walks, and every name that came or went and every file that was empty or half. A file whose lines are to be all the
 * same says so by its name, `even*`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const [folder, bytes] = [process.argv[2], Number(process.argv[3])];
const names = () =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
const first = names();
const sizes = new Map(first.map((path) => [path, readFileSync(path).length]));
const faults = new Set();
let walks = 0;
let going = true;
process.stdin.on('end', () => {
  going = false;
});
process.stdin.resume();
console.log('walking');

function walk() {
  const now = names();
  for (const path of first) if (!now.includes(path)) faults.add(`${path} is missing`);
  for (const path of now) {
    try {
      const text = readFileSync(path, 'utf8');
      if (/\/even[^/]*$/.test(path)) {
        const lines = new Set(text.split('\n').slice(0, -1));
        if (text.length !== bytes || lines.size !== 1)
          faults.add(`${path} is half: ${text.length} bytes, ${lines.size} texts`);
      } else if (Buffer.byteLength(text) !== sizes.get(path)) {
        faults.add(`${path} has ${Buffer.byteLength(text)} bytes`);
      }
    } catch (error) {
      faults.add(error.message);
    }
  }
  walks += 1;
}

while (going) {
  walk();
  await new Promise((resolve) => setImmediate(resolve));
}
console.log(JSON.stringify({ walks, faults: [...faults] }));
