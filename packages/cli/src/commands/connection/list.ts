/** `ktx connection list`: names and addresses, secrets masked. */
import type { Handler } from '../../command.ts';
import { hasLiteralPassword, maskSecret } from '../../context.ts';
import { table } from '../../format.ts';
import { outputForm } from '../../output-form.ts';
import { openProject } from '../../project.ts';

export const connectionList: Handler = async (context) => {
  const project = openProject(context);
  const items = project.connections.map(({ id, driver, dialect, kind, address, schemas }) => ({
    id,
    driver,
    dialect,
    ...(address === '' ? {} : { [kind.address]: maskSecret(address) }),
    ...(schemas === undefined ? {} : { schemas }),
    executable: kind.executor !== undefined,
  }));
  for (const { id } of project.connections.filter((one) => hasLiteralPassword(one.address))) {
    context.terminal.warn(`ktx.yaml holds the password of '${id}' in clear; better is url: env:NAME`);
  }
  const document = { kind: 'list', data: { items }, meta: { command: context.command } };
  const form = outputForm(context);
  if (form === 'json') return { text: JSON.stringify(document), document };
  if (items.length === 0) {
    context.terminal.note(
      `No connections yet. Add one: ${context.invocation} connection add <id> --driver sqlite --path <file>`,
    );
    return { text: '', document };
  }
  const rows = project.connections.map(({ id, driver, address }) => [id, driver, maskSecret(address)]);
  if (form === 'plain') return { text: rows.map((row) => row.join('\t')).join('\n'), document };
  const columns = ['connection', 'driver', 'address'].map((header) => ({ header, align: 'left' }) as const);
  const [head, ...lines] = table(columns, rows).split('\n');
  return { text: [context.terminal.paint('bold', head ?? ''), ...lines].join('\n'), document };
};
