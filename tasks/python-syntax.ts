/**
 * Syntax errors of Python files, found by one Python process that stays: starting one takes longer than all else
 * that happens between an edit and its restaging.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

export interface SyntaxFault {
  /** As it was asked for. */
  readonly path: string;
  /** One-based; 0 when the file as a whole is at fault. */
  readonly line: number;
  readonly message: string;
}

export interface SyntaxChecker {
  /** Raises when Python cannot be started or dies. */
  check(paths: readonly string[]): Promise<readonly SyntaxFault[]>;
  close(): void;
}

/** One line of JSON in, one line of JSON out. `ast.parse` compiles nothing and runs nothing. */
const PROGRAM = `
import ast, json, sys
for line in sys.stdin:
    faults = []
    for path in json.loads(line):
        try:
            with open(path, "rb") as file:
                ast.parse(file.read(), path)
        except (SyntaxError, ValueError) as error:
            number = getattr(error, "lineno", 0) or 0
            faults.append({"path": path, "line": number, "message": getattr(error, "msg", str(error))})
        except (RecursionError, MemoryError):
            faults.append({"path": path, "line": 0, "message": "is nested too deeply for Python to parse"})
    print(json.dumps(faults), flush=True)
`;

type Child = ChildProcessByStdio<Writable, Readable, null>;

/** `python`: the interpreter's path. It is started when first needed, and again after it died. */
export function syntaxChecker(python: string, env: NodeJS.ProcessEnv = process.env): SyntaxChecker {
  let child: Child | undefined;
  let lines: Interface | undefined;
  let turn: Promise<unknown> = Promise.resolve();

  function start(): Child {
    const started = spawn(python, ['-I', '-S', '-W', 'ignore', '-X', 'utf8', '-c', PROGRAM], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env,
      detached: process.platform !== 'win32', // Ctrl-C is for us: Python would answer it with a traceback
    });
    started.stdin.on('error', () => {}); // told by its end
    started.on('error', () => {});
    started.once('close', () => {
      if (child === started) child = undefined;
    });
    lines = createInterface({ input: started.stdout });
    return started;
  }

  function ask(paths: readonly string[]): Promise<readonly SyntaxFault[]> {
    child ??= start();
    const asked = child;
    const answers = lines as Interface;
    return new Promise((resolve, reject) => {
      const settle = (finish: () => void) => {
        answers.off('line', onLine);
        asked.off('error', onEnd).off('close', onEnd);
        finish();
      };
      const onLine = (line: string) => settle(() => resolve(JSON.parse(line) as SyntaxFault[]));
      const onEnd = (cause: unknown) => {
        child = undefined;
        settle(() => reject(new Error(`${python} ended while it checked syntax`, { cause })));
      };
      answers.once('line', onLine);
      asked.once('error', onEnd).once('close', onEnd);
      asked.stdin.write(`${JSON.stringify(paths)}\n`);
    });
  }

  return {
    check(paths) {
      if (paths.length === 0) return Promise.resolve([]);
      const answer = turn.then(() => ask(paths));
      turn = answer.catch(() => {});
      return answer;
    },
    close() {
      child?.stdin.end();
      child?.kill();
      child = undefined;
    },
  };
}
