/** How lists are shown: `--json`, `--output`, `KTX_OUTPUT`, plain in CI, pretty on a terminal, plain. */
import { type CommandContext, switchedOn } from './command.ts';
import { usageError } from './errors.ts';

export type OutputForm = 'pretty' | 'plain' | 'json';

export function outputForm({ globals, env, terminal }: CommandContext, option?: string): OutputForm {
  if (globals.json) return 'json';
  if (option !== undefined) return known('--output', option);
  if (env.KTX_OUTPUT) return known('KTX_OUTPUT', env.KTX_OUTPUT);
  return terminal.stdoutTty && !switchedOn(env.CI) ? 'pretty' : 'plain';
}

function known(name: string, value: string): OutputForm {
  if (value === 'pretty' || value === 'plain' || value === 'json') return value;
  throw usageError(`${name} is '${value}'.`, 'Use pretty, plain or json.');
}
