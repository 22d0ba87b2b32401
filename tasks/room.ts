/**
 * A room that nothing of the caller's world reaches: how commands run in it, and
 * how what they answer is judged.
 */
import { join } from 'node:path';
import type { Context } from './context.ts';
import { BuildError } from './errors.ts';
import type { AssetManifest } from './manifest.ts';
import type { Command } from './run.ts';

/** What is verified: the very tarball of the release, and the digest it must have. */
export interface Subject {
  readonly tarball: string;
  readonly sha256: string;
  readonly version: string;
  readonly manifest: AssetManifest;
}

export interface Room {
  readonly context: Context;
  readonly root: string;
  readonly env: Readonly<Record<string, string>>;
  readonly subject: Subject;
}

const MINUTE = 60_000;

/** A command in the room's project, with its environment and nothing else. */
export function plan(
  room: Room,
  task: string,
  command: string,
  args: readonly string[],
  more: Partial<Command> = {},
): Command {
  return { task, command, args, cwd: join(room.root, 'project'), env: room.env, timeout: 10 * MINUTE, ...more };
}

export function expect(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new BuildError('clean-room', otherwise, 'Run `gulp verify --keep` to look at the folder.');
}
