/**
 * Where the package lies, seen from a bundled chunk (`dist/`) and from the sources (`src/`) alike: this file and every
 * chunk sit exactly one folder below the root.
 */
import { fileURLToPath } from 'node:url';

export const packageRoot: string = fileURLToPath(new URL('..', import.meta.url));

/** True when the TypeScript sources run as they are, in a checkout. */
export const runsFromSources: boolean = import.meta.url.endsWith('.ts');
