/**
 * The log of one installation: every command, what it printed as it came, its exit code; never a credential.
 *
 * Written synchronously: whatever a child prints, memory stays bounded, and a crash loses nothing.
 */
import { closeSync, copyFileSync, linkSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Environment } from '../command.ts';
import type { RuntimePaths } from './paths.ts';

/** A child that prints without end fills neither memory nor disk. */
const MAX_BYTES = 32 * 1024 * 1024;

export interface InstallLog {
  readonly path: string;
  readonly line: (text: string) => void;
  readonly close: () => void;
}

/** `install-<utc>-<id>.log`; once closed, `install.log` is the same file. */
export function openInstallLog(paths: RuntimePaths, id: string, mask: (text: string) => string): InstallLog {
  mkdirSync(paths.logs, { recursive: true });
  const stamp = new Date().toISOString().replace(/[-:]/g, '').replace(/\..*$/, 'Z');
  const path = join(paths.logs, `install-${stamp}-${id}.log`);
  const fd = openSync(path, 'wx', 0o600);
  let written = 0;
  let open = true;
  const line = (text: string): void => {
    if (!open || written > MAX_BYTES) return;
    const entry = `${new Date().toISOString()} ${mask(text)}\n`;
    written += entry.length;
    try {
      writeSync(fd, written > MAX_BYTES ? `${new Date().toISOString()} … the rest is left out\n` : entry);
    } catch {
      // A full disk fails the installation itself, with a message; the log must not end it with a worse one.
    }
  };
  return {
    path,
    line,
    close: () => {
      if (!open) return;
      open = false;
      closeSync(fd);
      pointLatest(path, paths.latestLog);
    },
  };
}

/** A second name of the same file: links need no privilege, and a copy serves where there are none. */
function pointLatest(path: string, latest: string): void {
  const temporary = join(dirname(latest), `.install.log.${process.pid}.tmp`);
  try {
    rmSync(temporary, { force: true });
    try {
      linkSync(path, temporary);
    } catch {
      copyFileSync(path, temporary);
    }
    renameSync(temporary, latest);
  } catch {
    // The log itself is whole; its second name is a convenience.
  }
}

/** Masks credentials in URLs and the values of secret-looking variables wherever they appear. */
export function masker(env: Environment): (text: string) => string {
  const secrets = Object.entries(env)
    .filter(([name, value]) => /PASSWORD|TOKEN|SECRET/i.test(name) && value !== undefined && value.length >= 4)
    .map(([, value]) => value as string)
    .sort((a, b) => b.length - a.length);
  return (text) => {
    let masked = text.replace(/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@"'<>]*(?:@[^\s/@"'<>]*)*@/gi, '$1***@');
    for (const secret of secrets) masked = masked.replaceAll(secret, '***');
    return masked;
  };
}
