/** `ktx runtime doctor`: every check runs, whatever the others found. */
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { CommandContext, Handler, Output } from '../../command.ts';
import { CliError } from '../../errors.ts';
import { type Check, runtimeChecks } from '../../runtime/doctor.ts';
import { jsonText } from '../../runtime/files.ts';
import { masker } from '../../runtime/log.ts';
import { home, runtimePaths } from '../../runtime/paths.ts';
import { machine } from '../../runtime/platform.ts';

export interface DoctorOptions {
  readonly network?: boolean;
  readonly deep?: boolean;
  readonly report?: string;
}

export const runtimeDoctor: Handler<DoctorOptions> = async (context, _, { network = false, deep = false, report }) => {
  const checks = await runtimeChecks({ context, paths: runtimePaths(context), network, deep });
  const output = doctorOutput(context, checks);
  if (report !== undefined) await writeReport(context, report, output.document);
  return output;
};

/** Shared with `ktx doctor`. */
export function doctorOutput({ terminal }: CommandContext, checks: readonly Check[]): Output {
  const colours = { pass: 'green', warn: 'yellow', fail: 'red', skip: 'dim' } as const;
  const lines = checks.flatMap(({ status, label, detail, fix }) => [
    `${terminal.paint(colours[status], status.toUpperCase())} ${label}: ${detail}`,
    ...(fix === undefined ? [] : [`  Fix: ${fix.replaceAll('\n', '\n       ')}`]),
  ]);
  const ok = checks.every(({ status }) => status !== 'fail');
  const { platform, arch, libc } = machine();
  const document = { ok, platform: { platform, arch, libc, node: process.versions.node }, checks };
  return { text: lines.join('\n'), document, exitCode: ok ? 0 : 1 };
}

/** Made to be sent to strangers: no home directory, user name or credential in it. */
async function writeReport({ env, cwd, terminal }: CommandContext, file: string, document: unknown): Promise<void> {
  const path = resolve(cwd, file);
  const redacted = masker(env)(jsonText(document)).replaceAll(JSON.stringify(home(env)).slice(1, -1), '~');
  await writeFile(path, redacted).catch((cause) => {
    throw new CliError('report_not_written', `cannot write the report to ${path}`, {
      hint: 'Give another path to --report.',
      cause,
    });
  });
  terminal.note(`Report written to ${path}`);
}
