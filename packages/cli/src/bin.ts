#!/usr/bin/env node
// The entry of the npm package. Old Nodes must be able to parse it, so that they can be told: no static import, no
// recent syntax, and nothing but this check.
{
  const parts = process.versions.node.split('.');
  const major = Number(parts[0]);
  if (major > 22 || (major === 22 && Number(parts[1]) >= 18)) {
    import('./main.ts').then((main) => main.start());
  } else {
    process.stderr.write(
      `ktx needs Node.js 22.18 or newer; this is ${process.versions.node}. Install one from https://nodejs.org\n`,
    );
    process.exitCode = 1;
  }
}
