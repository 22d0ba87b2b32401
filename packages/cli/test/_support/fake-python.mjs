// The interpreter of a fake environment: answers the probes of an installation, and serves as a daemon with faults.
//
// FAKE_STARTED file for a line `<subcommand> <pid>` of every one-shot operation; each answers its request with SELECT 1
// FAKE_DAEMON  JSON: { exitAtStart, stderr, muteAfterStart, deaf, version, nonce, slow (ms), infoStatus, keepReady,
//                      noReady, platform, saysVersion, importError, readyDelay, probeExit }
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';

const argv = process.argv.slice(2);
const fault = JSON.parse(process.env.FAKE_DAEMON ?? '{}');

if (argv.includes('serve-http')) serve();
else if (argv.includes('--error-format')) {
  const subcommand = argv[argv.indexOf('--error-format') - 1];
  if (process.env.FAKE_STARTED) appendFileSync(process.env.FAKE_STARTED, `${subcommand} ${process.pid}\n`);
  const { dialect } = JSON.parse(readFileSync(0, 'utf8'));
  process.stdout.write(JSON.stringify({ sql: 'SELECT 1', dialect, columns: [], plan: {} }));
}
// Fetching a model is no fault of anyone's to imitate: the workspace's interpreter does it.
else if (argv.includes('ktx_daemon.embedding_model')) {
  process.exitCode = spawnSync(process.env.REAL_PYTHON, argv, { stdio: 'inherit' }).status ?? 1;
} else if (argv.includes('--version')) {
  process.stdout.write(`ktx-daemon ${fault.saysVersion ?? '0.1.0'}\n`);
} else if (argv.includes('-c')) {
  if (fault.importError) {
    process.stderr.write(`ModuleNotFoundError: No module named '${fault.importError}'\n`);
    process.exitCode = 1;
  } else {
    const machine = { x64: 'x86_64', arm64: 'aarch64' }[process.arch];
    process.stdout.write(`${JSON.stringify({ python: '3.13.0', platform: fault.platform ?? `linux-${machine}` })}\n`);
  }
}

function serve() {
  if (fault.exitAtStart !== undefined) {
    process.stderr.write(`${fault.stderr ?? 'ImportError: broken'}\n`);
    process.exit(fault.exitAtStart);
  }
  const flag = (name) => argv[argv.indexOf(name) + 1];
  const nonce = fault.nonce ?? process.env.KTX_DAEMON_NONCE;
  const token = process.env.KTX_DAEMON_TOKEN;
  const started = process.hrtime.bigint();
  let mute = false;
  const ready = flag('--ready-file');
  const end = () => {
    if (!fault.keepReady) rmSync(ready, { force: true });
    process.exit(0);
  };
  const server = createServer((request, response) => {
    if (mute) return;
    const answer = (status, body) => {
      setTimeout(
        () => {
          response.writeHead(status, { 'content-type': 'application/json' });
          response.end(JSON.stringify(body));
        },
        request.url === '/info' ? (fault.slow ?? 0) : 0,
      );
    };
    if (request.url === '/health' && fault.muteAfterStart) mute = true;
    if (request.url === '/health')
      return answer(200, { status: 'healthy', version: fault.version ?? process.env.KTX_DAEMON_VERSION });
    if (request.headers.authorization !== `Bearer ${token}`)
      return answer(401, { detail: 'unauthorized', code: 'unauthorized' });
    if (request.url === '/info')
      return answer(200, { status: 'ok', nonce, pid: process.pid, uptime: String(process.hrtime.bigint() - started) });
    if (request.url === '/shutdown') {
      if (fault.deaf) return answer(404, {});
      answer(202, { status: 'stopping' });
      setTimeout(end, 20);
      return;
    }
    answer(404, {});
  });
  for (const name of ['SIGTERM', 'SIGINT']) process.on(name, () => (fault.deaf ? undefined : end()));
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    const line = JSON.stringify({
      event: 'listening',
      host: '127.0.0.1',
      port,
      pid: process.pid,
      nonce,
      version: '0.1.0',
    });
    process.stdout.write(`${line}\n`);
    process.stderr.write(
      `argv ${JSON.stringify(argv)} env ${createHash('sha256')
        .update(process.env.PYTHONPATH ?? '')
        .digest('hex')
        .slice(0, 8)} model ${process.env.KTX_EMBEDDINGS_MODEL_DIR} offline ${process.env.HF_HUB_OFFLINE}\n`,
    );
    if (fault.noReady) return;
    setTimeout(() => {
      writeFileSync(`${ready}.tmp`, `${line}\n`, { mode: 0o600 });
      renameSync(`${ready}.tmp`, ready);
    }, fault.readyDelay ?? 0);
  });
}
