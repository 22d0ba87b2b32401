/** Every command of ktx, in the order of `ktx --help`. */
import type { Register } from '../program.ts';
import { registerDoctor, registerRuntime } from './runtime.ts';
import { registerConnection, registerProject, registerSl } from './sl.ts';

const registers: readonly Register[] = [
  registerProject,
  registerConnection,
  registerSl,
  registerRuntime,
  registerDoctor,
];

export const registerAll: Register = (program, bind) => {
  for (const register of registers) register(program, bind);
};
