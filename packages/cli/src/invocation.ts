/** How the user started ktx, and so how every command we print must begin. */
import type { Environment } from './command.ts';

export type Invocation = 'ktx' | 'npx @kaelio/ktx';

export function invocationOf(env: Environment): Invocation {
  return env.npm_command === 'exec' || env.npm_lifecycle_event === 'npx' ? 'npx @kaelio/ktx' : 'ktx';
}

/** A text whose commands read `ktx …`, with commands that work when typed. */
export function asTyped(text: string, invocation: Invocation): string {
  if (invocation === 'ktx') return text;
  return text.replace(/(?<![\w@/.-])ktx (?=(?:demo|init|connection|sl|runtime|doctor)\b)/g, `${invocation} `);
}
