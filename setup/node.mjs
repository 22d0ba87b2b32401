// @ts-check
// The Node that runs the graph: the running one when it fits package.json's `engines.node`, else the one
// that the `node` package brings.

import path from 'node:path';
import { howItEnded, lastLines, noNetwork, run, SetupError, saysNoNetwork } from './child.mjs';
import { isExecutable, readJson } from './files.mjs';
import { fitsNpm } from './versions.mjs';

/** @typedef {import('./context.mjs').Context} Context */

const INSTALL_MS = 10 * 60_000;

/** @param {string} root */
export const neededNode = (root) => String(readJson(path.join(root, 'package.json'))?.engines?.node ?? '*');

/**
 * @param {string} root
 * @returns {{ path: string, version: string } | undefined}
 */
export function fittingNode(root) {
  const needed = neededNode(root);
  if (needed === '*' || fitsNpm(process.versions.node, needed)) {
    return { path: process.execPath, version: process.versions.node };
  }
  const folder = path.join(root, 'node_modules', 'node');
  const version = readJson(path.join(folder, 'package.json'))?.version;
  const file = path.join(folder, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  return version && fitsNpm(version, needed) && isExecutable(file) ? { path: file, version } : undefined;
}

/**
 * The `node` package fetches its binary in an install script; a user whose npm skips those gets it here.
 * @param {Context} context
 * @param {{ cli: string }} npm
 */
export async function provideNode({ root, env, say, started }, npm) {
  const needed = neededNode(root);
  say(`Node: ${process.versions.node} does not fit ${needed}; npm rebuild node`);
  const args = [npm.cli, 'rebuild', 'node', '--ignore-scripts=false'];
  const ended = await run(process.execPath, args, { cwd: root, env, timeoutMs: INSTALL_MS, started });
  const node = fittingNode(root);
  if (node) return node;
  if (saysNoNetwork(ended.output)) throw noNetwork('npm', 'the `node` package', ended.output);
  throw new SetupError(
    'no-node',
    `Node ${process.versions.node} runs this, the graph needs ${needed}, and npm rebuild node ${howItEnded(ended)}\n${lastLines(ended.output)}`,
    `Install a Node that fits ${needed} and run the command with it.`,
  );
}
