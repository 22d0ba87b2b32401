/** Changes to `ktx.yaml` that keep its comments, order and style. */
import { isMap, parseDocument } from 'yaml';
import { KtxError } from '../errors.ts';
import { parseProject } from './project.ts';

export interface ConnectionEntry {
  readonly driver: string;
  readonly path?: string;
  readonly url?: string;
}

/**
 * The text with one more connection. Throws `connection_exists`, and `project_invalid` if the text or
 * the new entry cannot be used.
 */
export function withConnection(text: string, root: string, id: string, entry: ConnectionEntry): string {
  const { connections } = parseProject(text, root);
  if (connections.some((connection) => connection.id === id)) {
    throw new KtxError('connection_exists', `ktx.yaml already has a connection '${id}'; it was not changed.`, {
      hint: 'Choose another id, or edit ktx.yaml.',
    });
  }
  const document = parseDocument(text);
  if (!isMap(document.contents)) document.contents = document.createNode({}) as never;
  if (!isMap(document.get('connections'))) {
    // `connections:` with nothing under it keeps its place and comments.
    document.set('connections', document.createNode({}));
  }
  // A list that was written `{}` would keep its braces.
  (document.get('connections') as { flow?: boolean }).flow = false;
  document.setIn(['connections', id], document.createNode(entry));
  const changed = document.toString({ lineWidth: 0 });
  parseProject(changed, root);
  return changed;
}
