/** The one version: that of `packages/cli/package.json`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from './package-root.ts';

export const PACKAGE_NAME = '@kaelio/ktx';

let cached: string | undefined;

export function cliVersion(): string {
  if (cached === undefined) {
    const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version?: unknown };
    if (typeof version !== 'string') throw new Error(`package.json of ${PACKAGE_NAME} names no version`);
    cached = version;
  }
  return cached;
}
