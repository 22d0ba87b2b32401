// @ts-check
// What every step of set-up is given; paths come from here only.

import path from 'node:path';

/**
 * @typedef {object} Context
 * @property {string} root the checkout
 * @property {NodeJS.ProcessEnv} env of the user, as it came
 * @property {(line: string) => void} say prints one line for one step
 * @property {(pid: number) => void} started told of each child, so that a killed set-up's child can be ended
 */

/** @param {string} root */
export function places(root) {
  const tools = path.join(root, '.tools');
  return {
    tools,
    toolchain: path.join(tools, 'toolchain.json'),
    lock: path.join(tools, 'setup.lock'),
    uv: path.join(tools, 'uv'),
    uvRequirements: path.join(root, 'tasks', 'uv-requirements.txt'),
    workspaceRequirements: path.join(tools, 'workspace-requirements.txt'),
    venv: path.join(root, '.venv'),
    bin: path.join(root, 'node_modules', '.bin'),
  };
}
