/** `ktx sl read`: the definition as it stands in its file, or as composed. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Handler } from '../../command.ts';
import { type LoadedSource, loadSources, type Project, yamlText } from '../../context.ts';
import { chosenConnection, chosenSource, openProject } from '../../project.ts';

interface Options {
  readonly connectionId?: string;
  readonly resolved?: boolean;
}

export const slRead: Handler<Options> = async (context, [name = ''], { connectionId, resolved = false }) => {
  const project = openProject(context);
  const sources = loadSources(
    project,
    connectionId === undefined ? {} : { connectionId: chosenConnection(project, connectionId).id },
  );
  const source = chosenSource(sources, name);
  const bytes = resolved ? Buffer.from(composed(source)) : fileBytes(project, source);
  return {
    bytes,
    document: {
      kind: 'source',
      data: {
        connectionId: source.connectionId,
        name: source.name,
        path: source.path,
        resolved,
        yaml: bytes.toString('utf8'),
        ...(resolved ? { definition: source.definition } : {}),
      },
      meta: { command: context.command },
    },
  };
};

function composed({ definition }: LoadedSource): string {
  return yamlText(definition);
}

function fileBytes(project: Project, { path }: LoadedSource): Buffer {
  return readFileSync(join(project.root, path));
}
