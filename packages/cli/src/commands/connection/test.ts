/** `ktx connection test`: connects, asks for the version, says how long it took. */
import type { Handler } from '../../command.ts';
import { createExecutor } from '../../context.ts';
import { namedConnection, openProject } from '../../project.ts';

export const connectionTest: Handler = async (context, [id = '']) => {
  const connection = namedConnection(openProject(context), id);
  const executor = await createExecutor(connection, { env: context.env });
  const { serverVersion, elapsedMs } = await executor.probe({ signal: context.signal });
  return {
    text: `${id}: ${serverVersion}, ${elapsedMs} ms`,
    document: {
      kind: 'connection-test',
      data: { id, driver: connection.driver, serverVersion, elapsedMs },
      meta: { command: context.command },
    },
  };
};
