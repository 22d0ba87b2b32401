/** `ktx sl list`: what can be asked, without the runtime. */
import type { Handler } from '../../command.ts';
import { type LoadedSource, loadSources } from '../../context.ts';
import { type TableColumn, table } from '../../format.ts';
import { outputForm } from '../../output-form.ts';
import { chosenConnection, openProject, warnProblems } from '../../project.ts';

interface Options {
  readonly connectionId?: string;
  readonly output?: string;
}

interface Item {
  readonly connectionId: string;
  readonly name: string;
  readonly path: string;
  readonly description?: string;
  readonly columnCount: number;
  readonly measureCount: number;
  readonly joinCount: number;
  readonly measures: readonly string[];
  readonly dimensions: readonly string[];
}

export const slList: Handler<Options> = async (context, _positionals, options) => {
  const project = openProject(context);
  const { connectionId } = options;
  const { sources, problems } = loadSources(
    project,
    connectionId === undefined ? {} : { connectionId: chosenConnection(project, connectionId).id },
  );
  const items = sources.map(item);
  const document = { kind: 'list', data: { items, problems }, meta: { command: context.command } };
  const form = outputForm(context, options.output);
  if (form === 'json') return { text: JSON.stringify(document), document };
  if (!context.globals.json) {
    warnProblems(context, problems);
    if (items.length === 0)
      context.terminal.note(`No sources yet. Make some with "${context.invocation} sl generate".`);
  }
  const { paint } = context.terminal;
  return { text: form === 'pretty' ? pretty(items, paint) : items.map(plain).join('\n'), document };
};

function item({ connectionId, name, path, definition }: LoadedSource): Item {
  const { description, columns, measures, joins } = definition;
  return {
    connectionId,
    name,
    path,
    ...(description ? { description } : {}),
    columnCount: columns.length,
    measureCount: measures.length,
    joinCount: joins.length,
    measures: measures.map((measure) => measure.name),
    dimensions: columns.filter((column) => column.visibility !== 'hidden').map((column) => column.name),
  };
}

function plain({ connectionId, name, columnCount, measureCount, joinCount }: Item): string {
  return [connectionId, name, `columns=${columnCount}`, `measures=${measureCount}`, `joins=${joinCount}`].join('\t');
}

const COLUMNS: readonly TableColumn[] = [
  { header: 'connection', align: 'left' },
  { header: 'source', align: 'left' },
  { header: 'columns', align: 'right' },
  { header: 'joins', align: 'right' },
  { header: 'measures', align: 'left' },
];

/** The table, then the dimensions of each source: what stands after --measure and --dimension. */
function pretty(items: readonly Item[], paint: (style: 'bold' | 'dim', text: string) => string): string {
  if (items.length === 0) return '';
  const [head, ...rows] = table(
    COLUMNS,
    items.map((one) => [one.connectionId, one.name, one.columnCount, one.joinCount, names(one.measures)]),
  ).split('\n');
  const widest = Math.max(...items.map(({ name }) => name.length));
  const dimensions = items.map(({ name, dimensions }) => `${name.padEnd(widest)}  ${names(dimensions)}`.trimEnd());
  return [paint('bold', head ?? ''), ...rows, '', paint('bold', 'dimensions'), ...dimensions].join('\n');
}

function names(all: readonly string[]): string {
  return all.length <= 12 ? all.join(', ') : `${all.slice(0, 12).join(', ')}, … (${all.length})`;
}
