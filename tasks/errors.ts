/** An expected failure: says what is wrong and what to do next, prints no stack and keeps its cause. */
export class BuildError extends Error {
  override readonly name = 'BuildError';
  readonly showStack = false; // own property: gulp-cli then prints one clean line
  readonly code: string;
  constructor(code: string, problem: string, hint: string, options?: ErrorOptions) {
    super(`${problem}\n  ${hint}`, options);
    this.code = code;
  }
}
