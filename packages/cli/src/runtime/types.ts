/** Names shared by the parts of the managed runtime. */

export type Feature = 'core' | 'local-embeddings';

/** Everything needed to start the Python side; a subcommand is appended to `args`. */
export interface Launch {
  /** Absolute path of the interpreter of one committed generation. */
  readonly python: string;
  /** `-I -B -X utf8 -m ktx_daemon`. */
  readonly args: readonly string[];
  /** The whole environment of the child, not an addition. */
  readonly env: Readonly<Record<string, string>>;
  /** The version directory. */
  readonly cwd: string;
}

/** A running daemon that proved to be ours. */
export interface ManagedDaemon {
  /** `http://127.0.0.1:<port>` */
  readonly baseUrl: string;
  readonly token: string;
  readonly pid: number;
  readonly features: readonly Feature[];
}
