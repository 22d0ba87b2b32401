/**
 * Readiness: every requirement of the current release mode and of the next one,
 * whether it is met, and what to do when it is not.
 *
 * The policy's own rules are requirements too; they are asked here about a mode
 * that the policy need not be in. Pure: what was built and verified comes in as
 * facts, and two equal sets of facts give the same report.
 */
import {
  inspectPolicy,
  POLICY_FILE,
  type PolicyFacts,
  RELEASE_MODES,
  type ReleaseMode,
  rulesOf,
  violation,
} from './policy.ts';
import type { Policy } from './policy-schema.ts';

/** The release folder as far as readiness is concerned. */
export interface ReleaseFacts {
  /** Of its manifest.json, over which verify was run. */
  readonly manifestSha256: string;
  readonly releaseMode: string;
  readonly version: string;
  readonly sourceRevision: string | null;
  readonly sourceDirty: boolean;
}

export interface ReadinessFacts {
  /** Text of release-policy.json. */
  readonly policyText: string;
  readonly policyFacts: PolicyFacts;
  /** Commit that is checked out, or null outside a repository. */
  readonly revision: string | null;
  /** The release folder; undefined when there is none, a text when it cannot be used. */
  readonly release: ReleaseFacts | string | undefined;
  /** sha256 of the manifest that the whole of verify last passed on. */
  readonly verifiedManifest: string | undefined;
}

export interface Requirement {
  readonly mode: ReleaseMode;
  /** `unknown` is what cannot be told while something else blocks. */
  readonly state: 'met' | 'blocked' | 'unknown';
  /** The field of the policy, or what else it is about. */
  readonly subject: string;
  readonly asks: string;
  /** Why it is not met. */
  readonly problem?: string;
  /** What to do about it. */
  readonly todo?: string;
}

export interface ModeReadiness {
  readonly mode: ReleaseMode;
  readonly ready: boolean;
  readonly requirements: readonly Requirement[];
}

export interface Readiness {
  readonly schemaVersion: 1;
  /** Null when the policy cannot be read as one; then `current` says why. */
  readonly mode: ReleaseMode | null;
  /** Of the current mode: this is what the exit code follows. */
  readonly ready: boolean;
  readonly current: ModeReadiness;
  /** Null in the last mode. */
  readonly next: ModeReadiness | null;
}

interface Finding {
  readonly problem: string;
  readonly todo: string;
}

interface FactRule {
  readonly subject: string;
  readonly modes: readonly ReleaseMode[];
  readonly asks: string;
  readonly check: (facts: ReadinessFacts, mode: ReleaseMode) => Finding | 'unknown' | undefined;
}

const BUILD = 'Run: gulp artifacts';
const BEYOND_CI = RELEASE_MODES.slice(1);

const FACT_RULES: readonly FactRule[] = [
  {
    subject: 'artifacts',
    modes: RELEASE_MODES,
    asks: 'the release folder is built for this version',
    check: ({ release, policyFacts: { version } }) => {
      if (release === undefined) return { problem: 'there is no release folder', todo: BUILD };
      if (typeof release === 'string') return { problem: release, todo: BUILD };
      if (release.version === version) return undefined;
      return { problem: `it holds version ${release.version}, not ${version}`, todo: BUILD };
    },
  },
  {
    subject: 'artifacts',
    modes: RELEASE_MODES,
    asks: 'its manifest states the mode of the policy',
    check: ({ release }, mode) => {
      if (typeof release !== 'object') return 'unknown';
      if (release.releaseMode === mode) return undefined;
      return { problem: `it states ${release.releaseMode}, not ${mode}`, todo: 'Build in that mode: gulp artifacts' };
    },
  },
  {
    subject: 'source revision',
    modes: BEYOND_CI,
    asks: 'it was built from the commit that is checked out, without local changes',
    check: ({ release, revision }) => {
      if (typeof release !== 'object') return 'unknown';
      if (release.sourceRevision === null || revision === null) {
        return { problem: 'the commit is not known', todo: 'Build in a git checkout.' };
      }
      if (release.sourceDirty) {
        return {
          problem: 'the sources differed from their commit',
          todo: 'Commit or undo the changes, then run: gulp artifacts',
        };
      }
      if (release.sourceRevision === revision) return undefined;
      return { problem: `it was built from ${release.sourceRevision}, not ${revision}`, todo: BUILD };
    },
  },
  {
    subject: 'verification',
    modes: BEYOND_CI,
    asks: 'verify, clean room included, passed on these very artifacts',
    check: ({ release, verifiedManifest }) => {
      if (typeof release !== 'object') return 'unknown';
      if (release.manifestSha256 === verifiedManifest) return undefined;
      const problem = verifiedManifest ? 'it passed on other artifacts' : 'it was not run';
      return { problem, todo: 'Run: gulp verify' };
    },
  },
];

export function readiness(facts: ReadinessFacts): Readiness {
  const { policy, violations } = inspectPolicy(facts.policyText, facts.policyFacts);
  if (!policy) {
    const mode = RELEASE_MODES[0];
    const requirements = violations.map(({ field, problem }) =>
      requirement(mode, field, `${POLICY_FILE} has the right form`, {
        problem,
        todo: `Change ${field} in ${POLICY_FILE}.`,
      }),
    );
    return { schemaVersion: 1, mode: null, ready: false, current: summary(mode, requirements), next: null };
  }
  const current = modeReadiness(policy.releaseMode, policy, facts);
  const following = RELEASE_MODES[RELEASE_MODES.indexOf(policy.releaseMode) + 1];
  return {
    schemaVersion: 1,
    mode: policy.releaseMode,
    ready: current.ready,
    current,
    next: following ? modeReadiness(following, policy, facts) : null,
  };
}

/** What a mode asks, of a policy as if it were in that mode. */
function modeReadiness(mode: ReleaseMode, policy: Policy, facts: ReadinessFacts): ModeReadiness {
  const rules = rulesOf(mode).flatMap((rule): Requirement[] => {
    const [broken] = violation(rule, policy, facts.policyFacts);
    const { requiredBeforePublishing: open } = policy;
    if (broken && rule.field === 'requiredBeforePublishing' && open.length > 0)
      return open.map((one) => undecided(mode, one));
    const finding = broken && { problem: broken.problem, todo: `Change ${rule.field} in ${POLICY_FILE}.` };
    return [requirement(mode, rule.field, rule.asks, finding)];
  });
  const built = FACT_RULES.filter(({ modes }) => modes.includes(mode)).map(({ subject, asks, check }) =>
    requirement(mode, subject, asks, check(facts, mode)),
  );
  return summary(mode, [...rules, ...built]);
}

function undecided(mode: ReleaseMode, what: string): Requirement {
  const todo = `Decide it, then take it out of requiredBeforePublishing in ${POLICY_FILE}.`;
  return requirement(mode, 'requiredBeforePublishing', what, { problem: 'is still undecided', todo });
}

function requirement(
  mode: ReleaseMode,
  subject: string,
  asks: string,
  finding: Finding | 'unknown' | undefined,
): Requirement {
  if (finding === 'unknown') return { mode, state: 'unknown', subject, asks };
  return { mode, state: finding ? 'blocked' : 'met', subject, asks, ...finding };
}

function summary(mode: ReleaseMode, requirements: readonly Requirement[]): ModeReadiness {
  return { mode, ready: requirements.every(({ state }) => state === 'met'), requirements };
}

/** The report for people: what blocks is spelled out, what is met is one line each. */
export function readinessText({ mode, current, next }: Readiness): string {
  const parts = [mode === null ? unreadable(current) : section('release mode', current)];
  if (next) parts.push(section('next mode', next));
  return parts.join('\n');
}

function unreadable({ requirements }: ModeReadiness): string {
  return [`${POLICY_FILE} cannot be read as a policy`, ...requirements.flatMap(lines), ''].join('\n');
}

function section(title: string, { mode, ready, requirements }: ModeReadiness): string {
  const blocked = requirements.filter(({ state }) => state === 'blocked').length;
  const state = ready ? 'ready' : `blocked by ${blocked} of ${requirements.length} requirements`;
  return [`${title} ${mode}: ${state}`, ...requirements.flatMap(lines), ''].join('\n');
}

function lines({ state, subject, asks, problem, todo }: Requirement): string[] {
  if (state !== 'blocked') return [`  ${state.padEnd(8)} ${subject}: ${asks}`];
  return [`  blocked  ${subject}: ${asks}`, `             ${problem}`, `             ${todo}`];
}
