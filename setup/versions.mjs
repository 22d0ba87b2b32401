// @ts-check
// Whether a version fits a range: the parts of npm's and of Python's range syntax that this repository's
// own files may use. Anything else is refused by name, never taken for a fit.

/**
 * The release numbers of a version: "3.13.0rc2" → [3, 13, 0].
 * @param {string} version
 * @returns {number[]}
 */
export function release(version) {
  const found = /^v?(\d+(?:\.\d+)*)/.exec(version.trim());
  if (!found?.[1]) throw new RangeError(`not a version: ${JSON.stringify(version)}`);
  return found[1].split('.').map(Number);
}

/** @param {string} version */
export const isPrerelease = (version) => /^v?\d+(\.\d+)*[-._]?[a-z]/i.test(version.trim());

/**
 * @param {readonly number[]} a
 * @param {readonly number[]} b
 */
export function compare(a, b) {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** @param {readonly number[]} numbers @param {number} index */
const next = (numbers, index) => [...numbers.slice(0, index), (numbers[index] ?? 0) + 1];

/**
 * Half-open interval [low, high) of one npm comparator.
 * @param {string} comparator
 * @returns {{ low: number[], high: number[] | undefined }}
 */
function interval(comparator) {
  const found = /^(\^|~|>=|>|<=|<|=)?\s*v?(\d+)(?:\.(\d+|[xX*]))?(?:\.(\d+|[xX*]))?$/.exec(comparator);
  if (!found) throw new RangeError(`unsupported npm range: ${JSON.stringify(comparator)}`);
  const numbers = found
    .slice(2, 5)
    .filter((part) => part !== undefined && /^\d+$/.test(part))
    .map(Number);
  const last = numbers.length - 1;
  const significant = numbers.findIndex((number) => number > 0);
  switch (found[1]) {
    case '>=':
      return { low: numbers, high: undefined };
    case '>':
      return { low: next(numbers, last), high: undefined };
    case '<':
      return { low: [0], high: numbers };
    case '<=':
      return { low: [0], high: next(numbers, last) };
    case '~':
      return { low: numbers, high: next(numbers, Math.min(1, last)) };
    case '^':
      return { low: numbers, high: next(numbers, significant === -1 ? last : significant) };
    default:
      return { low: numbers, high: next(numbers, last) };
  }
}

/**
 * `fitsNpm('24.21.0', '^22.20 || >=24')`. Pre-releases fit nothing.
 * @param {string} version
 * @param {string} range
 */
export function fitsNpm(version, range) {
  if (isPrerelease(version)) return false;
  const numbers = release(version);
  return range.split('||').some((alternative) =>
    alternative
      .trim()
      .replace(/(\^|~|>=|>|<=|<|=)\s+/g, '$1')
      .split(/\s+/)
      .map(interval)
      .every(({ low, high }) => compare(numbers, low) >= 0 && (!high || compare(numbers, high) < 0)),
  );
}

/**
 * `fitsPython('3.13.0', '>=3.13,<4')`. Pre-releases fit nothing, as with pip and uv.
 * @param {string} version
 * @param {string} specifiers PEP 440 specifier set
 */
export function fitsPython(version, specifiers) {
  if (isPrerelease(version)) return false;
  const numbers = release(version);
  return specifiers.split(',').every((specifier) => {
    const found = /^\s*(>=|<=|==|!=|~=|>|<)\s*(\d+(?:\.\d+)*)(\.\*)?\s*$/.exec(specifier);
    if (!found?.[2]) throw new RangeError(`unsupported version specifier: ${JSON.stringify(specifier.trim())}`);
    const bound = release(found[2]);
    const equal = compare(found[3] ? numbers.slice(0, bound.length) : numbers, bound) === 0;
    switch (found[1]) {
      case '>=':
        return compare(numbers, bound) >= 0;
      case '<=':
        return compare(numbers, bound) <= 0;
      case '>':
        return compare(numbers, bound) > 0;
      case '<':
        return compare(numbers, bound) < 0;
      case '==':
        return equal;
      case '!=':
        return !equal;
      default:
        return compare(numbers, bound) >= 0 && compare(numbers, next(bound, bound.length - 2)) < 0;
    }
  });
}
