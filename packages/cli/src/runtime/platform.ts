/** This machine as wheels see it, and version arithmetic of PEP 440 as far as it is needed here. */
import { closeSync, openSync, readSync } from 'node:fs';
import { CliError } from '../errors.ts';
import type { Feature } from './types.ts';

export interface Machine {
  readonly platform: NodeJS.Platform;
  readonly arch: string;
  /** `glibc` or `musl` on Linux, else null. */
  readonly libc: 'glibc' | 'musl' | null;
}

let known: Machine | undefined;

export function machine(): Machine {
  known ??= {
    platform: process.platform,
    arch: process.arch,
    libc: process.platform === 'linux' ? libcOfNode() : null,
  };
  return known;
}

/** The C library Node was linked with, read from the interpreter path in its ELF header. */
function libcOfNode(): 'glibc' | 'musl' {
  const head = Buffer.alloc(4096);
  try {
    const fd = openSync(process.execPath, 'r');
    try {
      readSync(fd, head, 0, head.length, 0);
    } finally {
      closeSync(fd);
    }
  } catch {
    return 'glibc';
  }
  return head.includes('/ld-musl-') ? 'musl' : 'glibc';
}

/** Refuses before anything is downloaded where no wheel can exist. */
export function demandSupported(features: readonly Feature[], at: Machine = machine()): void {
  if (features.includes('local-embeddings')) {
    if (at.platform === 'darwin' && at.arch === 'x64') throw noTorch('macOS on Intel processors');
    if (at.libc === 'musl') throw noTorch('musl-based Linux');
  }
  const supported = ['linux', 'darwin', 'win32'].includes(at.platform) && ['x64', 'arm64'].includes(at.arch);
  if (!supported) {
    throw new CliError('platform_unsupported', `the runtime has no packages for ${at.platform} on ${at.arch}`, {
      hint: 'It runs on Linux, macOS and Windows with x64 or arm64 processors.',
    });
  }
}

function noTorch(where: string): CliError {
  return new CliError('platform_unsupported', `local embeddings need torch, which publishes no wheel for ${where}`, {
    hint: 'Install without them: ktx runtime install',
  });
}

/** `0.1.0-rc.2` is `0.1.0rc2`; null for a version that has no counterpart. */
export function pep440(semver: string): string | null {
  const match = /^(\d+\.\d+\.\d+)(?:-(alpha|beta|rc)\.(\d+))?$/.exec(semver);
  if (match === null) return null;
  const [, release, kind, number] = match;
  return kind === undefined ? `${release}` : `${release}${{ alpha: 'a', beta: 'b', rc: 'rc' }[kind]}${number}`;
}

/** -1, 0 or 1 for dotted release numbers; missing parts are 0. */
export function compareReleases(a: string, b: string): -1 | 0 | 1 {
  const left = numbers(a);
  const right = numbers(b);
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference < 0 ? -1 : 1;
  }
  return 0;
}

/** True when a release satisfies `>=3.13,<3.15` and the like; pre-releases are judged by their release part. */
export function fits(version: string, specifiers: string): boolean {
  return specifiers
    .split(',')
    .map((part) => /^\s*(>=|<=|==|!=|~=|>|<)\s*([0-9.]+?)(\.\*)?\s*$/.exec(part))
    .every((match) => {
      if (match === null) return false;
      const [, operator, wanted = '', wildcard] = match;
      const order = compareReleases(version, wanted);
      const prefix = wildcard !== undefined && isPrefix(wanted, version);
      switch (operator) {
        case '>=':
          return order >= 0;
        case '<=':
          return order <= 0;
        case '>':
          return order > 0;
        case '<':
          return order < 0;
        case '==':
          return wildcard === undefined ? order === 0 : prefix;
        case '!=':
          return wildcard === undefined ? order !== 0 : !prefix;
        default:
          return order >= 0 && isPrefix(numbers(wanted).slice(0, -1).join('.'), version);
      }
    });
}

function isPrefix(prefix: string, version: string): boolean {
  const all = numbers(version);
  return numbers(prefix).every((part, i) => part === (all[i] ?? 0));
}

function numbers(version: string): number[] {
  return (/^\d+(?:\.\d+)*/.exec(version)?.[0] ?? '').split('.').map(Number);
}

const SEMVER = /^(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$/;

/** Whether a directory may be one CLI version's. */
export function isSemver(name: string): boolean {
  return SEMVER.test(name);
}
