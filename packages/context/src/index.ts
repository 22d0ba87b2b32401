/** `@ktx/context`: projects, sources, compute and read-only executors; no prompts, no exits. */

export { createHttpCompute, type Endpoint, type HttpOptions, httpExchange } from './compute/http.ts';
export {
  createOneShotCompute,
  type OneShotOptions,
  type Started,
  startOneShot,
} from './compute/one-shot.ts';
export type * from './compute/port.ts';
export { computeOver } from './compute/respond.ts';
export { isKtxError, KtxError, type KtxErrorOptions } from './errors.ts';
export {
  createExecutor,
  type ExecuteOptions,
  type Execution,
  type Executor,
  type Probe,
  type Structure,
} from './executors/executor.ts';
export type { Column, Encoding, Row } from './executors/values.ts';
export { DRIVERS, type Driver, type Executable } from './project/drivers.ts';
export { type ConnectionEntry, withConnection } from './project/edit.ts';
export {
  type Connection,
  loadProject,
  PROJECT_FILE,
  type Project,
  type ProjectLocation,
  parseProject,
  projectRoot,
  type Warning,
} from './project/project.ts';
export { hasLiteralPassword, maskSecret, resolveSecret } from './project/secrets.ts';
export type { ColumnDefinition, Definition, JoinDefinition, NamedDefinition } from './sources/definition.ts';
export { type LoadedSource, loadSources, type Problem, SOURCES_FOLDER, type Sources } from './sources/loader.ts';
export { type Position, parseYaml, type YamlFile, type YamlProblem, yamlText } from './yaml.ts';
