// A Python that misbehaves on demand: the environment says how. It proves nothing about the real one.
import { readFileSync, writeFileSync } from 'node:fs';

const { FAKE_MODE: mode = 'echo', FAKE_RECORD: record } = process.env;
if (record)
  writeFileSync(
    record,
    JSON.stringify({ argv: process.argv.slice(2), cwd: process.cwd(), env: process.env, pid: process.pid }),
  );
const out = (text) => process.stdout.write(text);
const good = { sql: 'SELECT 1', dialect: 'postgres', columns: [], plan: {} };

const modes = {
  good: () => out(`${JSON.stringify(good)}\n`),
  echo: () => out(JSON.stringify({ ...good, plan: { echo: JSON.parse(readFileSync(0, 'utf8')) } })),
  empty: () => {},
  object: () => out('{}'),
  list: () => out('[1]'),
  half: () => out('{"sql": "SELECT'),
  noisy: () => out(`DeprecationWarning: soon\n${JSON.stringify(good)}`),
  'empty-sql': () => out(JSON.stringify({ ...good, sql: '' })),
  'other-dialect': () => out(JSON.stringify({ ...good, dialect: 'mysql' })),
  latin1: () => process.stdout.write(Buffer.from([0x7b, 0xe9, 0x7d])),
  refuse: () => {
    process.stderr.write(
      'a warning first\n{"error":{"code":"unknown_column","message":"no column x","details":{"candidates":["y"]}}}\n',
    );
    process.exitCode = 1;
  },
  // Does not read stdin: the writer meets a broken pipe.
  die: () => {
    process.stderr.write('ModuleNotFoundError: ktx_daemon\n');
    process.exit(3);
  },
  killed: () => process.kill(process.pid, 'SIGSEGV'),
  hang: () => setInterval(() => {}, 1000),
  // Outlives its parent unless the group is killed.
  fork: async () => {
    const { spawn } = await import('node:child_process');
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    writeFileSync(process.env.FAKE_PID, String(child.pid));
    setInterval(() => {}, 1000);
  },
  flood: () => {
    const block = Buffer.alloc(1 << 20, 'x');
    const write = () => {
      while (process.stdout.write(block));
      process.stdout.once('drain', write);
    };
    write();
  },
  shout: () => {
    for (let n = 0; n < 64; n++) process.stderr.write('y'.repeat(1 << 16));
    process.exitCode = 1;
  },
};
await modes[mode]();
