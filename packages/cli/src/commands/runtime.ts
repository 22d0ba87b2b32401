/** `ktx runtime …` and `ktx doctor`: definitions only. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Bind } from '../program.ts';

export function registerRuntime(program: Command, bind: Bind): void {
  const runtime = program.command('runtime').description('manage the runtime that plans the SQL');
  const feature = () =>
    new Option('--feature <name>', 'what it must be able to do').choices(['core', 'local-embeddings']);
  runtime
    .command('install')
    .description('install, repair or extend the runtime')
    .addOption(feature().default('core'))
    .option('--force', 'rebuild even when it is ready')
    .option('--exact', 'only the named feature, dropping others')
    .action(bind(async () => (await import('./runtime/install.ts')).runtimeInstall));
  runtime
    .command('status')
    .description('show whether the runtime is ready')
    .action(bind(async () => (await import('./runtime/status.ts')).runtimeStatus));
  runtime
    .command('start')
    .description('start the background daemon, or reuse it')
    .addOption(feature().default('core'))
    .option('--force', 'replace a running daemon')
    .option('--idle-timeout <seconds>', 'end after so many idle seconds; 0 is never', wholeNumber, 1800)
    .action(bind(async () => (await import('./runtime/start.ts')).runtimeStart));
  runtime
    .command('stop')
    .description('stop the background daemon')
    .option('--all', 'the daemons of every version')
    .action(bind(async () => (await import('./runtime/stop.ts')).runtimeStop));
  runtime
    .command('doctor')
    .description('check everything the runtime needs')
    .option('--network', 'also try the package index')
    .option('--deep', 'also re-hash every installed file')
    .option('--report <file>', 'write a redacted report')
    .action(bind(async () => (await import('./runtime/doctor.ts')).runtimeDoctor));
  runtime
    .command('prune')
    .description('remove the runtimes of other versions')
    .option('--dry-run', 'only say what would be removed')
    .option('--keep <n>', 'keep the newest n versions', wholeNumber)
    .option('--older-than <days>', 'only what was not used for so many days', wholeNumber)
    .option('--stop-daemons', 'stop their daemons first')
    .action(bind(async () => (await import('./runtime/prune.ts')).runtimePrune));
}

export function registerDoctor(program: Command, bind: Bind): void {
  program
    .command('doctor')
    .description('check the project, its connections and the runtime')
    .option('--network', 'also try the package index')
    .action(bind(async () => (await import('./doctor.ts')).doctor));
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Give a whole number.');
  return Number(text);
}
