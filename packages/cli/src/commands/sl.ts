/** `ktx sl …`: definitions only. */
import { type Command, Option } from 'commander';
import type { Bind } from '../program.ts';

export function registerSl(program: Command, bind: Bind): void {
  const sl = program.command('sl').description('read, check and query the semantic layer');
  const connection = () => new Option('--connection-id <id>', 'connection of ktx.yaml (default: the only one)');
  sl.command('list')
    .description('list sources with their measures and dimensions')
    .addOption(connection())
    .addOption(new Option('--output <form>', 'form of the list').choices(['pretty', 'plain', 'json']))
    .action(bind(async () => (await import('./sl/list.ts')).slList));
  sl.command('read')
    .description('print the definition of a source')
    .argument('<source>', 'name of the source')
    .addOption(connection())
    .option('--resolved', 'as composed from scan and overlays')
    .action(bind(async () => (await import('./sl/read.ts')).slRead));
  sl.command('validate')
    .description('check definitions')
    .argument('[source]', 'check this source only')
    .addOption(connection())
    .option('--all', 'check every connection')
    .option('--shape-only', 'check keys and values only, not expressions and joins')
    .action(bind(async () => (await import('./sl/validate.ts')).slValidate));
  sl.command('query')
    .description('turn measures by dimensions into one SQL statement')
    .addOption(connection())
    .option('--measure <measure>', 'source.measure or an expression; repeatable', collect)
    .option('--dimension <field[:granularity]>', 'source.column, time columns with a granularity; repeatable', collect)
    .option('--filter <condition>', 'boolean expression; repeatable', collect)
    .option('--segment <segment>', 'source.segment; repeatable', collect)
    .option('--order-by <field[:asc|desc]>', 'measure or dimension; repeatable', collect)
    .option('--limit <n>', 'rows of the statement itself')
    .option('--include-empty', 'also dimension values without any fact')
    .option('--query-file <path>', 'the query as JSON; - reads stdin')
    .addOption(
      new Option(
        '--format <form>',
        'form of the result (default: json; on a terminal sql, or table with --execute)',
      ).choices(['json', 'sql', 'table', 'csv']),
    )
    .option('--execute', 'run the statement, read-only')
    .option('--max-rows <n>', 'rows read at most, 1 to 10000 (default: 1000)')
    .option('--timeout <seconds>', 'time the database may take (default: 30)')
    .action(bind(async () => (await import('./sl/query.ts')).slQuery));
  sl.command('generate')
    .description('write a source file per table of the database')
    .addOption(connection())
    .option('--schema <name>', 'schema to read; repeatable', collect)
    .option('--table <glob>', 'tables to read, as order*; repeatable', collect)
    .option('--dry-run', 'only say what would be written')
    .option('--force', 'replace files that exist')
    .action(bind(async () => (await import('./sl/generate.ts')).slGenerate));
}

export function registerConnection(program: Command, bind: Bind): void {
  const connection = program.command('connection').description('name the databases of a project');
  connection
    .command('add')
    .description('add a connection to ktx.yaml')
    .argument('<id>', 'name of the connection')
    .requiredOption('--driver <driver>', 'sqlite, duckdb, postgres, …')
    .option('--path <file>', 'database file (sqlite, duckdb)')
    .option('--url <url>', 'address, best as env:NAME or file:PATH')
    .action(bind(async () => (await import('./connection/add.ts')).connectionAdd));
  connection
    .command('list')
    .description('list connections, secrets masked')
    .action(bind(async () => (await import('./connection/list.ts')).connectionList));
  connection
    .command('test')
    .description('connect and show the server version')
    .argument('<id>', 'name of the connection')
    .action(bind(async () => (await import('./connection/test.ts')).connectionTest));
}

export function registerProject(program: Command, bind: Bind): void {
  program
    .command('demo')
    .description('make a small project with data to try')
    .argument('[dir]', 'directory to make (default: ktx-demo)')
    .action(bind(async () => (await import('./demo.ts')).demo));
  program
    .command('init')
    .description('make ktx.yaml and semantic-layer/')
    .argument('[dir]', 'project directory (default: this one)')
    .action(bind(async () => (await import('./init.ts')).init));
}

function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), value];
}
