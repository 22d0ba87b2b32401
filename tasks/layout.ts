/**
 * Every path of the build, made from one root.
 *
 * Nothing below the gulpfile asks for the current directory: a test builds a
 * copy of the repository anywhere by making another layout.
 */
import { join } from 'node:path';

export type Layout = Readonly<ReturnType<typeof layout>>;

/** The absolute paths of one checkout whose top folder is `root`. */
export function layout(root: string) {
  const at = (...parts: string[]) => join(root, ...parts);
  const dist = (...parts: string[]) => at('dist', ...parts);
  const cli = (...parts: string[]) => at('packages', 'cli', ...parts);
  return Object.freeze({
    root,
    licence: at('LICENSE'),
    readme: at('README.md'),
    releasePolicy: at('release-policy.json'),
    uvLock: at('uv.lock'),
    workspacePyproject: at('pyproject.toml'),
    tasks: at('tasks'),
    importScan: at('tasks', 'import-scan.py'),
    embeddingModel: at('tasks', 'embedding-model.json'),
    venvPython: at('.venv', ...(process.platform === 'win32' ? ['Scripts', 'python.exe'] : ['bin', 'python'])),

    dist: dist(),
    state: dist('.state'),
    lock: dist('.state', 'build.lock'),
    work: dist('.work'),
    staging: dist('runtime-wheel-src'),
    built: {
      root: dist('built'),
      wheel: dist('built', 'wheel'),
      dists: (name: string) => dist('built', 'dists', name),
      locks: dist('built', 'locks'),
      npm: (folder: string) => dist('built', 'npm', folder),
      tarball: (folder: string) => dist('built', 'tarballs', folder),
    },
    release: dist('artifacts'),
    timings: dist('timings.svg'),
    bench: dist('bench.json'),

    cli: { root: cli(), manifest: cli('package.json'), dist: cli('dist'), pythonAssets: cli('assets', 'python') },
    package: (folder: string) => at('packages', folder),
    inRoot: at,
  });
}
