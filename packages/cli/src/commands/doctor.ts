/** `ktx doctor`: the project, its sources and connections, and then the runtime; one report, nothing changed. */
import type { CommandContext, Handler } from '../command.ts';
import { type Connection, createExecutor, loadProject, loadSources, type Project } from '../context.ts';
import { isFailure, messageOf } from '../errors.ts';
import { placed } from '../project.ts';
import { CHECK_MS, type Check, runtimeChecks } from '../runtime/doctor.ts';
import { runtimePaths } from '../runtime/paths.ts';
import { doctorOutput } from './runtime/doctor.ts';

export const doctor: Handler<{ readonly network?: boolean }> = async (context, _, { network = false }) => {
  const { env, cwd, globals } = context;
  const runtime = await runtimeChecks({ context, paths: runtimePaths(context), network, deep: false });
  const [node, ...rest] = runtime;
  let project: Project | undefined;
  const checks: Check[] = node === undefined ? [] : [node];
  try {
    project = loadProject({ projectDir: globals.projectDir, env, cwd });
    checks.push(projectCheck(project));
  } catch (error) {
    checks.push(noProject(error));
  }
  if (project !== undefined) {
    checks.push(sourcesCheck(project));
    checks.push(...(await Promise.all(project.connections.map((connection) => connectionCheck(connection, context)))));
  }
  return doctorOutput(context, [...checks, ...rest]);
};

function projectCheck({ root, connections, warnings }: Project): Check {
  const base = { id: 'project', label: 'Project' };
  const [first] = warnings;
  if (first === undefined)
    return {
      ...base,
      status: 'pass',
      detail: `${root}, connections: ${connections.map(({ id }) => id).join(', ') || 'none'}`,
    };
  return { ...base, status: 'warn', detail: `${placed(first)}${more(warnings.length)}`, fix: `Correct ${first.file}.` };
}

/** Outside a project there is nothing to check; a broken ktx.yaml is a failure. */
function noProject(error: unknown): Check {
  const base = { id: 'project', label: 'Project', detail: messageOf(error) };
  if (isFailure(error) && error.code === 'project_not_found')
    return { ...base, status: 'skip', fix: 'ktx init, or ktx demo' };
  return { ...base, status: 'fail', ...(isFailure(error) && error.hint !== undefined ? { fix: error.hint } : {}) };
}

function sourcesCheck(project: Project): Check {
  const base = { id: 'sources', label: 'Sources' };
  const { sources, problems } = loadSources(project);
  const [first] = problems;
  if (first === undefined) return { ...base, status: 'pass', detail: `${sources.length} load` };
  const status = problems.some(({ severity }) => severity === 'error') ? 'fail' : 'warn';
  return { ...base, status, detail: `${placed(first)}${more(problems.length)}`, fix: 'ktx sl validate --all' };
}

async function connectionCheck(connection: Connection, { env, signal }: CommandContext): Promise<Check> {
  const base = { id: `connection:${connection.id}`, label: `Connection ${connection.id}` };
  try {
    const executor = await createExecutor(connection, { env });
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(CHECK_MS)]);
    const { serverVersion, elapsedMs } = await executor.probe({ signal: inTime });
    return { ...base, status: 'pass', detail: `${serverVersion}, ${elapsedMs} ms` };
  } catch (error) {
    signal.throwIfAborted();
    const fix = isFailure(error) && error.hint !== undefined ? error.hint : `ktx connection test ${connection.id}`;
    return { ...base, status: 'fail', detail: messageOf(error), fix };
  }
}

function more(count: number): string {
  return count > 1 ? ` (and ${count - 1} more)` : '';
}
