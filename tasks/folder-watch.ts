/**
 * Hints that something below some folders has changed.
 *
 * One watch a folder, not one a file: what is hinted at is looked at anyway, so nothing more has to be known, and a
 * tree of 10,000 files costs a hundred watches. A hint may be late, doubled or about nothing; it names a path and not
 * what became of it.
 */
import { type FSWatcher, watch } from 'node:fs';
import { join } from 'node:path';

export interface FolderWatch {
  /**
   * Watch a folder from now on, unless this very one (by `ino`) is watched already. `names` narrows it to some
   * entries.
   */
  add(folder: string, ino: number, names?: ReadonlySet<string>): void;
  /** Stop watching every folder that was not added since the last call. */
  sweep(): void;
  close(): void;
}

interface Watched {
  readonly watcher: FSWatcher;
  readonly ino: number;
  fresh: boolean;
}

/** `onHint` gets an absolute path. `onExhausted` is called once when the system has no more watches to give. */
export function folderWatch(onHint: (path: string) => void, onExhausted: (error: Error) => void): FolderWatch {
  const watched = new Map<string, Watched>();
  let exhausted = false;

  function open(folder: string, names: ReadonlySet<string> | undefined): FSWatcher | undefined {
    try {
      const watcher = watch(folder, { persistent: true }, (_event, name) => {
        if (name === null) onHint(folder);
        else if (names === undefined || names.has(name)) onHint(join(folder, name));
      });
      watcher.on('error', () => onHint(folder)); // gone: the next look finds out
      return watcher;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') onHint(folder);
      else if (!exhausted) {
        exhausted = true;
        onExhausted(error as Error);
      }
      return undefined;
    }
  }

  return {
    add(folder, ino, names) {
      const known = watched.get(folder);
      if (known?.ino === ino) {
        known.fresh = true;
        return;
      }
      known?.watcher.close();
      watched.delete(folder);
      const watcher = open(folder, names);
      if (watcher) watched.set(folder, { watcher, ino, fresh: true });
    },
    sweep() {
      for (const [folder, entry] of watched) {
        if (!entry.fresh) {
          entry.watcher.close();
          watched.delete(folder);
        }
        entry.fresh = false;
      }
    },
    close() {
      for (const { watcher } of watched.values()) watcher.close();
      watched.clear();
    },
  };
}
