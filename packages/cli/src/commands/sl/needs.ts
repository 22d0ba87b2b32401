/**
 * Which parts of a model with problems a query needs.
 *
 * What loaded is sent; a query that names a source which did not load fails with the file and line of the reason, not
 * with the engine's view of a model that lacks it.
 */
import type { Connection, LoadedSource, Problem, QueryResult, SemanticQuery, Source, Sources } from '../../context.ts';
import { KtxError } from '../../context.ts';
import { placed, unusableSource } from '../../project.ts';

export interface Model {
  readonly sources: readonly Source[];
  readonly loaded: readonly LoadedSource[];
  /** Errors of the connection's files, whether this query minds them or not. */
  readonly problems: readonly Problem[];
  /** What to tell a person about an answer that was planned without some of the model. */
  cautions(answer: QueryResult): readonly string[];
}

export function planned({ sources, problems }: Sources, query: SemanticQuery, connection: Connection): Model {
  const errors = problems.filter(({ severity }) => severity === 'error');
  const needed = errors.find(({ source }) => source !== undefined && mentions(query, source));
  if (needed !== undefined) throw unusableSource(needed);
  if (sources.length === 0) throw empty(connection, errors);
  return {
    sources: sources.map(({ definition }) => definition),
    loaded: sources,
    problems: errors,
    cautions: (answer) => {
      // A path between several sources might have led through what is missing.
      const used = answer.plan.sources_used;
      if (errors.length === 0 || !Array.isArray(used) || used.length < 2) return [];
      return [`planned without what could not be loaded: ${errors.map(placed).join('; ')}`];
    },
  };
}

function empty(connection: Connection, errors: readonly Problem[]): KtxError {
  const [first] = errors;
  if (first !== undefined) {
    return new KtxError('invalid_source', `No source of '${connection.id}' can be used: ${placed(first)}.`, {
      hint: 'See all problems with "ktx sl validate".',
      details: { problems: errors },
    });
  }
  return new KtxError('no_sources', `Connection '${connection.id}' has no sources.`, {
    hint: `Make some: ktx sl generate --connection-id ${connection.id}`,
  });
}

/** Any text of the query with `name.` in it, outside longer names. */
function mentions(query: SemanticQuery, name: string): boolean {
  const pattern = new RegExp(`(?<![\\w.])"?${name}"?\\s*\\.`);
  const seen = (value: unknown): boolean => {
    if (typeof value === 'string') return pattern.test(value);
    return typeof value === 'object' && value !== null && Object.values(value).some(seen);
  };
  return seen(query);
}
