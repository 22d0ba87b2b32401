/** Tries the package index as uv is configured to reach it, past its cache. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CommandContext, switchedOn } from '../command.ts';
import { runChild } from './child.ts';
import { envDirOf, type InstalledManifest } from './installed.ts';
import { masker } from './log.ts';
import { pythonOf, type RuntimePaths } from './paths.ts';
import { uvEnvironment } from './uv-environment.ts';

const NETWORK_MS = 5_000;

export async function checkNetwork(
  context: CommandContext,
  paths: RuntimePaths,
  manifest: InstalledManifest,
  uv: string,
): Promise<{ status: 'pass' | 'fail' | 'skip'; detail: string; fix?: string }> {
  if (switchedOn(context.env.KTX_OFFLINE)) return { status: 'skip', detail: 'KTX_OFFLINE is set' };
  const work = await mkdtemp(join(tmpdir(), 'ktx-doctor-'));
  try {
    await writeFile(join(work, 'pyproject.toml'), '[tool.uv]\nmanaged = false\n');
    await writeFile(join(work, 'ask.in'), 'sqlglot\n');
    const python = pythonOf(envDirOf(paths, manifest.generation));
    const args = ['pip', 'compile', '--no-deps', '--no-cache', '--no-header', '--python', python, 'ask.in'];
    const command = { command: uv, args, cwd: work, env: uvEnvironment(context.env, paths) };
    const ended = await runChild(command, { timeoutMs: NETWORK_MS, signal: context.signal });
    if (ended.code === 0) return { status: 'pass', detail: 'the configured index answers' };
    const last = ended.timedOut ? `no answer within ${NETWORK_MS / 1000} s` : ended.tail.slice(-3).join(' ');
    const fix = 'Check the network, HTTPS_PROXY, UV_DEFAULT_INDEX and SSL_CERT_FILE.';
    return { status: 'fail', detail: masker(context.env)(last), fix };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
