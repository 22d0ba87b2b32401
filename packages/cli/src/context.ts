/**
 * The one door to `@ktx/context`.
 *
 * It is the package's source, not its `dist`: a checkout then runs without a build, and the bundle holds it anyway.
 */
export * from '../../context/src/index.ts';
