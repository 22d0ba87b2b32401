#!/usr/bin/env node
// A uv that injects faults. It records how it was called and proves nothing about the real one.
//
// FAKE_UV_CALLS    folder for one JSON file per call: argv, env, cwd
// FAKE_UV_VERSION  what --version prints after "uv "
// FAKE_UV_FAULT    JSON { "<step>": {...} }; steps: version, find, venv, sync, check
//                  exit, stderr, hang, spin (bytes printed), sleep (ms), signal, kill (a pid file's process), deaf
import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const argv = process.argv.slice(2);
const operands = argv.filter((argument) => argument !== '--offline');
const step =
  argv[0] === '--version'
    ? 'version'
    : argv[0] === 'venv'
      ? 'venv'
      : argv[0] === 'python'
        ? 'find'
        : (argv[1] ?? argv[0]);
const fault = JSON.parse(process.env.FAKE_UV_FAULT ?? '{}')[step] ?? {};
const here = dirname(fileURLToPath(import.meta.url));

record();
if (fault.deaf) for (const name of ['SIGTERM', 'SIGINT']) process.on(name, () => {});
if (fault.grandchild)
  spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', 'fake-grandchild'], { stdio: 'ignore' });
if (fault.killParentBefore) process.kill(process.ppid, 'SIGKILL');
if (fault.sleep) await new Promise((resolve) => setTimeout(resolve, fault.sleep));
if (fault.spin) await spin(fault.spin);
if (fault.hang) setInterval(() => {}, 1000);
else {
  if (!fault.skip) perform();
  if (fault.killParent) process.kill(process.ppid, 'SIGKILL');
  if (fault.stdout) process.stdout.write(fault.stdout);
  if (fault.stderr) process.stderr.write(`${fault.stderr}\n`);
  if (fault.signal) process.kill(process.pid, fault.signal);
  else process.exitCode = fault.exit ?? 0;
}

function record() {
  const folder = process.env.FAKE_UV_CALLS;
  if (folder === undefined) return;
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${BigInt(Date.now()) * 1_000_000n}-${randomUUID()}.json`);
  writeFileSync(`${path}.tmp`, JSON.stringify({ step, argv, cwd: process.cwd(), env: process.env, pid: process.pid }));
  renameSync(`${path}.tmp`, path);
}

function perform() {
  if (step === 'version') {
    if (fault.stdout === undefined) process.stdout.write(`uv ${process.env.FAKE_UV_VERSION ?? '0.13.9'} (fake)\n`);
  } else if (step === 'venv') {
    makeEnvironment(operands.at(-1), fault.partial === true);
    process.stderr.write(`Creating virtual environment at: ${operands.at(-1)}\n`);
  } else if (step === 'sync') {
    const [lock, wheel] = operands.slice(-2);
    for (const file of [lock, wheel]) if (!existsSync(file)) throw new Error(`${file} is missing`);
    const env = dirname(dirname(argv[argv.indexOf('--python') + 1]));
    const site = join(env, 'lib', 'python3.13', 'site-packages');
    mkdirSync(join(site, 'kaelio_ktx-0.1.0.dist-info'), { recursive: true });
    const content = readFileSync(wheel);
    const digest = createHash('sha256').update(content).digest('base64url');
    writeFileSync(join(site, 'wheel.txt'), content);
    writeFileSync(join(site, 'kaelio_ktx-0.1.0.dist-info', 'RECORD'), `wheel.txt,sha256=${digest},${content.length}\n`);
    process.stderr.write('Installed 34 packages in 1ms\n');
  }
}

function makeEnvironment(path, partial) {
  const bin = join(path, 'bin');
  mkdirSync(bin, { recursive: true });
  if (partial) return;
  const python = join(bin, 'python');
  writeFileSync(python, `#!${process.execPath}\nimport(${JSON.stringify(join(here, 'fake-python.mjs'))});\n`);
  chmodSync(python, 0o755);
  writeFileSync(
    join(path, 'pyvenv.cfg'),
    `home = ${process.env.FAKE_PYTHON_HOME ?? dirname(process.execPath)}\nversion = 3.13.0\n`,
  );
}

async function spin(bytes) {
  const line = `${'x'.repeat(1023)}\n`;
  for (let left = bytes; left > 0; left -= line.length) {
    if (!process.stdout.write(line)) await new Promise((resolve) => process.stdout.once('drain', resolve));
  }
}
