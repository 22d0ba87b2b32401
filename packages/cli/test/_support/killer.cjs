// Preloaded into ktx: kills it before or after its n-th change of the file system, as a power cut would.
const { syncBuiltinESMExports } = require('node:module');
const fs = require('node:fs');
const [moment, at] = (process.env.KILL_AT ?? '').split(':');
let count = 0;

for (const [holder, names] of [
  [fs.promises, ['mkdir', 'writeFile', 'rename', 'link', 'rm', 'copyFile']],
  [fs, ['mkdirSync', 'openSync', 'linkSync', 'renameSync', 'rmSync']],
]) {
  for (const name of names) {
    const original = holder[name];
    holder[name] = (...args) => {
      if (name === 'openSync' && args[1] === 'r') return original(...args);
      count += 1;
      const mine = String(count) === at;
      if (mine && moment === 'before') process.kill(process.pid, 'SIGKILL');
      const result = original(...args);
      if (!mine) return result;
      const die = () => process.kill(process.pid, 'SIGKILL');
      return result instanceof Promise ? result.finally(die) : die();
    };
  }
}
syncBuiltinESMExports();
process.once('exit', () => {
  if (process.env.KILL_COUNT !== undefined) fs.writeFileSync(process.env.KILL_COUNT, String(count));
});
