/**
 * The frame around every command: parse, run, print, exit code.
 *
 * stdout carries the result of a command and nothing else; a failure is one message on stderr (under `--json` one
 * document on stdout) and exit code 1; a signal ends with 130 or 143.
 */
import type { CommandContext, Globals, Output } from './command.ts';
import { switchedOn } from './command.ts';
import { Interrupted, isFailure } from './errors.ts';
import { failureDocument, printedFailure } from './failure.ts';
import { invocationOf } from './invocation.ts';
import { onSignal } from './signals.ts';
import { terminal } from './terminal.ts';
import { cliVersion, PACKAGE_NAME } from './version.ts';
import { writeAll } from './write.ts';

const started = performance.now();

/** Runs the process's own command line; sets the exit code itself. */
export async function start(): Promise<void> {
  const argv = process.argv.slice(2);
  const code = await run(argv);
  if (switchedOn(process.env.KTX_PROFILE_STARTUP)) {
    const node = started.toFixed(1);
    await writeAll(process.stderr, `startup: node ${node} ms, ktx ${(performance.now() - started).toFixed(1)} ms\n`);
  }
  // Handles of a finished command (a pooled socket, a timer) must not keep a person waiting.
  process.exit(code);
}

async function run(argv: readonly string[]): Promise<number> {
  // The version is asked for by scripts, often: it costs no parser.
  if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-v')) return printed(versionText());
  const signals = onSignal();
  const json = beforeTerminator(argv).includes('--json');
  const asked = { command: '', debug: beforeTerminator(argv).includes('--debug') };
  try {
    const { parse } = await import('./program.ts');
    const request = parse(argv);
    asked.command = request.command;
    if (request.kind === 'text') return printed(json ? helpDocument(request.command, request.text) : request.text);
    const context = contextOf(request.command, request.globals, signals.signal);
    const handler = await request.load();
    const output = await signals.race(handler(context, request.positionals, request.options));
    return await deliver(output ?? {}, request.globals.json);
  } catch (error) {
    return await failed(signals.signal.aborted ? signals.signal.reason : error, json, asked);
  } finally {
    signals.dispose();
  }
}

function contextOf(command: string, globals: Globals, signal: AbortSignal): CommandContext {
  const env = process.env;
  return {
    command,
    globals,
    env,
    cwd: process.cwd(),
    terminal: terminal(process, env, globals),
    signal,
    invocation: invocationOf(env),
  };
}

async function deliver(output: Output, json: boolean): Promise<number> {
  if (json && output.document !== undefined) await writeAll(process.stdout, `${JSON.stringify(output.document)}\n`);
  else if (output.bytes !== undefined) await writeAll(process.stdout, output.bytes);
  else if (output.text !== undefined && output.text !== '') await printed(output.text);
  return output.exitCode ?? 0;
}

async function failed(
  error: unknown,
  json: boolean,
  asked: { readonly command: string; readonly debug: boolean },
): Promise<number> {
  const interrupted = error instanceof Interrupted;
  const command = asked.command || ((error as { command?: string }).command ?? '');
  if (json) await writeAll(process.stdout, `${JSON.stringify(failureDocument(error, command))}\n`);
  if (!interrupted && (!json || !isFailure(error) || asked.debug)) {
    await writeAll(
      process.stderr,
      printedFailure(error, asked.debug, process.stderr.isTTY === true && !process.env.NO_COLOR),
    );
  }
  return interrupted ? error.exitCode : 1;
}

async function printed(text: string): Promise<number> {
  await writeAll(process.stdout, text.endsWith('\n') ? text : `${text}\n`);
  return 0;
}

function versionText(): string {
  return `${PACKAGE_NAME} ${cliVersion()}`;
}

function helpDocument(command: string, text: string): string {
  const kind = text === versionText() ? 'version' : 'help';
  return JSON.stringify({
    kind,
    data: kind === 'version' ? { name: PACKAGE_NAME, version: cliVersion() } : { text },
    meta: { command },
  });
}

/** Arguments after `--` are data. */
function beforeTerminator(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf('--');
  return end < 0 ? argv : argv.slice(0, end);
}
