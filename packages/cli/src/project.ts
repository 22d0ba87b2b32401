/** What the commands share about projects: opening one, choosing a connection, showing what is wrong. */
import type { CommandContext } from './command.ts';
import {
  type Connection,
  KtxError,
  type LoadedSource,
  loadProject,
  type Problem,
  type Project,
  type Sources,
} from './context.ts';
import { usageError } from './errors.ts';

export function openProject(context: CommandContext): Project {
  const project = loadProject({ projectDir: context.globals.projectDir, env: context.env, cwd: context.cwd });
  for (const { file, line, column, message } of project.warnings) {
    context.terminal.warn(`${file}:${line}:${column}: ${message}`);
  }
  return project;
}

/** The named connection, or the only one. */
export function chosenConnection(project: Project, id: string | undefined): Connection {
  if (id !== undefined) return namedConnection(project, id);
  const [only, ...others] = project.connections;
  if (only === undefined) {
    throw new KtxError('no_connection', 'ktx.yaml names no connection.', {
      hint: 'Add one: ktx connection add <id> --driver sqlite --path <file>',
    });
  }
  if (others.length > 0)
    throw ambiguous(
      'The project has several connections',
      project.connections.map((one) => one.id),
    );
  return only;
}

export function namedConnection(project: Project, id: string): Connection {
  const found = project.connections.find((connection) => connection.id === id);
  if (found !== undefined) return found;
  const ids = project.connections.map((connection) => connection.id);
  throw new KtxError('unknown_connection', `ktx.yaml has no connection '${id}'.`, {
    hint: ids.length === 0 ? 'Add one with "ktx connection add".' : `Use one of: ${ids.join(', ')}`,
    details: { candidates: ids },
  });
}

/** The source called `name`, in the given connection or in the only one that has it. */
export function chosenSource(sources: Sources, name: string): LoadedSource {
  const found = sources.sources.filter((source) => source.name === name);
  const [first, ...others] = found;
  if (first === undefined) throw missingSource(sources, name);
  if (others.length > 0)
    throw ambiguous(
      `Several connections have a source '${name}'`,
      found.map((one) => one.connectionId),
    );
  return first;
}

export function missingSource(sources: Sources, name: string): KtxError {
  const broken = sources.problems.find((problem) => problem.severity === 'error' && problem.source === name);
  if (broken !== undefined) return unusableSource(broken);
  const known = sources.sources.map((source) => source.name);
  return new KtxError('unknown_source', `There is no source '${name}'.`, {
    hint: known.length === 0 ? 'Make some with "ktx sl generate".' : `Sources: ${listed(known)}`,
    details: { candidates: known.slice(0, 100) },
  });
}

export function unusableSource(problem: Problem): KtxError {
  const { source, file, line, column, message } = problem;
  return new KtxError('invalid_source', `Source '${source}' cannot be used: ${placed(problem)}.`, {
    hint: `Correct ${file}, line ${line}; "ktx sl validate" checks it.`,
    details: { source, file, line, column, problem: message },
  });
}

/** `file:line:col: message` */
export function placed({ file, line, column, message }: Pick<Problem, 'file' | 'line' | 'column' | 'message'>): string {
  return `${file}:${line}:${column}: ${message}`;
}

export function warnProblems(context: CommandContext, problems: readonly Problem[]): void {
  for (const problem of problems) context.terminal.warn(placed(problem));
}

function ambiguous(problem: string, ids: readonly string[]): Error {
  return usageError(`${problem}: ${ids.join(', ')}.`, `Choose one: --connection-id ${ids[0]}`);
}

/** The first twenty names. */
export function listed(names: readonly string[]): string {
  return names.length <= 20 ? names.join(', ') : `${names.slice(0, 20).join(', ')} and ${names.length - 20} more`;
}
