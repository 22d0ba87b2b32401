/**
 * The command line as a value: `parse` names the command to run and loads none of it.
 *
 * Global options may stand anywhere. Help and version are results, so they come back as text.
 */
import { Command, CommanderError } from 'commander';
import type { Globals, Handler } from './command.ts';
import { switchedOn } from './command.ts';
import { registerAll } from './commands/registry.ts';
import { type CliError, usageError } from './errors.ts';
import { cliVersion, PACKAGE_NAME } from './version.ts';

/** Loads the module of one command; nothing else of it is loaded to parse a command line or to print help. */
export type Load = () => Promise<Handler<never>>;

/** Makes the commander action of a command: `.action(bind(async () => (await import('./list.ts')).slList))`. */
export type Bind = (load: Load) => (...args: unknown[]) => void;

export type Register = (program: Command, bind: Bind) => void;

export interface Text {
  readonly kind: 'text';
  readonly command: string;
  readonly text: string;
}

export interface Run {
  readonly kind: 'run';
  readonly command: string;
  readonly globals: Globals;
  readonly positionals: readonly string[];
  readonly options: Record<string, unknown>;
  readonly load: () => Promise<Handler>;
}

export function parse(argv: readonly string[]): Text | Run {
  const shown: string[] = [];
  const runs: Run[] = [];
  const bind: Bind =
    (load) =>
    (...args) => {
      const command = args.at(-1) as Command;
      runs.push({
        kind: 'run',
        command: path(command),
        globals: globalsOf(command.optsWithGlobals()),
        positionals: command.args,
        options: command.opts(),
        load: load as () => Promise<Handler>,
      });
    };
  const program = ktxProgram(bind, (text) => shown.push(text));
  try {
    if (argv.length === 0) return { kind: 'text', command: '', text: program.helpInformation() };
    program.parse([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    const command = commandIn(program, argv);
    // `commander.help`: a group without its subcommand.
    if (['commander.version', 'commander.helpDisplayed', 'commander.help'].includes(error.code)) {
      return { kind: 'text', command: path(command), text: shown.join('').trimEnd() };
    }
    throw refused(command, error.message);
  }
  const run = runs[0];
  if (run === undefined) return { kind: 'text', command: '', text: program.helpInformation() };
  if (run.globals.yes && !run.globals.input) {
    const hint = 'Give one of them: --yes consents, --no-input never asks.';
    throw Object.assign(usageError('--yes and --no-input contradict each other', hint), { command: run.command });
  }
  return run;
}

function refused(command: Command, message: string): CliError {
  const see = `See: ktx ${[path(command), '--help'].filter(Boolean).join(' ')}`;
  return Object.assign(usageError(message.replace(/^error: /, ''), see), { command: path(command) });
}

function ktxProgram(bind: Bind, write: (text: string) => void): Command {
  const program = new Command('ktx')
    .description('Ask a warehouse for measures by dimensions and get one correct SQL statement.')
    .version(`${PACKAGE_NAME} ${cliVersion()}`, '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand(false)
    .option('--project-dir <path>', 'project directory (default: the nearest ancestor with ktx.yaml)')
    .option('--json', 'print exactly one JSON document')
    .option('--yes', 'consent to what would be asked')
    .option('--no-input', 'never ask; fail instead')
    .option('--no-progress', 'no spinners and no progress lines')
    .option('--debug', 'print stacks and causes of failures')
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ writeOut: write, writeErr: write, outputError: () => {} })
    .addHelpText(
      'after',
      '\nStart here:\n  ktx demo          a small project to try, no account or database needed\n  ktx init          your own project',
    );
  registerAll(program, bind);
  inherit(program);
  return program;
}

/** Subcommands made with `.command()` copy settings when they are made; those added later would not. */
function inherit(parent: Command): void {
  for (const child of parent.commands) {
    child.copyInheritedSettings(parent).helpCommand(false).allowExcessArguments(false);
    inherit(child);
  }
}

function globalsOf(options: Record<string, unknown>): Globals {
  const { projectDir } = options;
  return {
    ...(typeof projectDir === 'string' ? { projectDir } : {}),
    json: options.json === true,
    yes: options.yes === true,
    input: options.input !== false,
    progress: options.progress !== false && !switchedOn(process.env.KTX_NO_PROGRESS),
    debug: options.debug === true,
  };
}

/** `runtime install`, without the program's own name. */
function path(command: Command): string {
  const names: string[] = [];
  for (let at: Command | null = command; at?.parent; at = at.parent) names.unshift(at.name());
  return names.join(' ');
}

/** The deepest command that the words of a command line name. */
function commandIn(program: Command, argv: readonly string[]): Command {
  let at = program;
  for (const word of argv) {
    if (word.startsWith('-')) continue;
    const next = at.commands.find((command) => command.name() === word);
    if (next === undefined) break;
    at = next;
  }
  return at;
}
