/**
 * `release-policy.json` as a typed value: what may be published, where, and
 * what is still undecided.
 *
 * Parsed once. Every rule is a row of one table that names the field it is
 * about and the modes it holds in, so that a refusal lists all that is wrong,
 * and readiness can ask the same rules about the mode after this one.
 */
import { readFile } from 'node:fs/promises';
import * as v from 'valibot';
import { BuildError } from './errors.ts';
import { CARRIER, NPM_PACKAGES, PYTHON_PACKAGES, RUNTIME, readIdentity } from './identity.ts';
import type { Layout } from './layout.ts';
import { type PolicyRule, RULES } from './policy-rules.ts';
import { POLICY, type Policy, type PolicyFacts, type ReleaseMode } from './policy-schema.ts';
import { parseStrict } from './strict-json.ts';

export type { Policy, PolicyFacts, ReleaseMode } from './policy-schema.ts';
export { RELEASE_MODES, RUNTIME_INSTALLER } from './policy-schema.ts';

export const POLICY_FILE = 'release-policy.json';

export interface Violation {
  /** Dotted path within the file; empty for the whole. */
  readonly field: string;
  /** Reads on from the field: `must be null, not "x"`. */
  readonly problem: string;
}

/** The file as far as it can be read: a policy when its form is right, and all that is wrong with it. */
export interface InspectedPolicy {
  readonly policy: Policy | undefined;
  readonly violations: readonly Violation[];
}

/** The facts of this repository at one version. */
export function policyFacts(version: string): PolicyFacts {
  return {
    version,
    publicPackage: CARRIER.name,
    npmPackages: NPM_PACKAGES.map(({ name }) => name),
    pythonPackages: [...PYTHON_PACKAGES.map(({ name }) => name), RUNTIME.distribution],
  };
}

/** The policy of a checkout; throws BuildError `policy` listing every violation. */
export async function readPolicy(at: Layout): Promise<Policy> {
  const { version } = await readIdentity(at);
  return parsePolicy(await readPolicyText(at), policyFacts(version));
}

export async function readPolicyText(at: Layout): Promise<string> {
  try {
    return await readFile(at.releasePolicy, 'utf8');
  } catch (cause) {
    throw new BuildError('policy', `${POLICY_FILE} cannot be read`, 'Restore it from the repository.', { cause });
  }
}

export function parsePolicy(text: string, facts: PolicyFacts): Policy {
  const { policy, violations } = inspectPolicy(text, facts);
  if (policy && violations.length === 0) return policy;
  const lines = violations.map(({ field, problem }) => `\n    ${field} ${problem}`);
  throw new BuildError('policy', `${POLICY_FILE} breaks its rules:${lines.join('')}`, `Change ${POLICY_FILE}.`);
}

export function inspectPolicy(text: string, facts: PolicyFacts): InspectedPolicy {
  const parsed = v.safeParse(POLICY, parseStrict(text, POLICY_FILE));
  if (!parsed.success) return { policy: undefined, violations: parsed.issues.map(misshapen) };
  const policy = parsed.output;
  const broken = rulesOf(policy.releaseMode).flatMap((rule) => violation(rule, policy, facts));
  return { policy, violations: broken };
}

/** The rules that hold in a mode, in the order of the file's fields. */
export function rulesOf(mode: ReleaseMode): readonly PolicyRule[] {
  return RULES.filter(({ modes }) => modes.includes(mode));
}

/** One rule applied: nothing, or what is wrong. */
export function violation(rule: PolicyRule, policy: Policy, facts: PolicyFacts): Violation[] {
  const problem = rule.check(policy, facts);
  return problem === undefined ? [] : [{ field: rule.field, problem }];
}

function misshapen(issue: v.BaseIssue<unknown>): Violation {
  const field = v.getDotPath(issue) ?? 'the whole';
  if (issue.expected === 'never') return { field, problem: 'is no field of this schema' };
  if (issue.received === 'undefined') return { field, problem: 'is missing' };
  if (issue.message.startsWith('must ')) return { field, problem: `${issue.message}, not ${issue.received}` };
  return { field, problem: `must be ${issue.expected}, not ${issue.received}` };
}
