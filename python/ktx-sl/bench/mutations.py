"""Reintroduce each known defect and see that a test fails.

`python bench/mutations.py [D4 D7 ...]` copies the package and its tests, plants one defect at a time, runs the tests
named for it and prints a table. Exit status 1 if any defect survives, or no longer fits the source text. The ordinary
run does the same without the table (`tests/test_mutations.py`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = "tests/test_defects.py"  # its test ids start with the defect's number


@dataclass(frozen=True)
class Mutation:
    """`old` occurs exactly once in `module`; with `new` in its place the defect is back."""

    defect: str
    what: str
    module: str
    old: str
    new: str


MUTATIONS = (
    Mutation(
        "D1",
        "a derived measure is inlined without brackets",
        "measures.py",
        "return paren(formula.tree.copy())",
        "return formula.tree.copy()",
    ),
    Mutation(
        "D2",
        "clauses are joined by AND without brackets",
        "generator.py",
        "operand = exp.Paren(this=condition)",
        "operand = condition",
    ),
    Mutation(
        "D3",
        "a filter on a source that no dimension or measure needs is dropped",
        "rows.py",
        "direct = tuple(clause for clause in filters if self.direct(node, clause))",
        "targets = list(targets)\n"
        "        direct = tuple(c for c in filters if self.direct(node, c) and c.nodes <= {node, *targets})",
    ),
    Mutation(
        "D4",
        "a member without facts counts 1",
        "generator.py",
        "column = exp.Coalesce(this=column, expressions=[exp.Literal.number(0)])",
        "column = exp.Coalesce(this=column, expressions=[exp.Literal.number(1)])",
    ),
    Mutation(
        "D5",
        "rows without a parent are dropped by an inner join",
        "generator.py",
        'joins.append(self._join(edge, aliases[edge.head], view, "LEFT"))',
        'joins.append(self._join(edge, aliases[edge.head], view, "INNER"))',
    ),
    Mutation(
        "D6",
        "facts meet by plain equality, so NULL keys never do",
        "generator.py",
        "self.dialect.null_safe(self._column(spine, d.alias), self._column(name, d.alias)) for d in shared",
        "exp.EQ(this=self._column(spine, d.alias), expression=self._column(name, d.alias)) for d in shared",
    ),
    Mutation(
        "D7",
        "a measure's filter becomes a filter on rows",
        "generator.py",
        '        if keys:\n            select.set("group", exp.Group(expressions=[key.copy() for key in keys]))\n'
        "        if plan.having:",
        "        for _, leaf in node.leaves if node else []:\n"
        "            for guard in leaf.guards:\n"
        "                select.where(self.columns.physical(guard, view), copy=False)\n"
        '        if keys:\n            select.set("group", exp.Group(expressions=[key.copy() for key in keys]))\n'
        "        if plan.having:",
    ),
    Mutation(
        "D8",
        "the source of a measure's filter is joined so that it drops rows",
        "generator.py",
        'joins.append(self._join(edge, aliases[edge.head], view, "LEFT"))',
        'joins.append(self._join(edge, aliases[edge.head], view, "LEFT" if self.plan.dimensions else "INNER"))',
    ),
    Mutation(
        "D9",
        "an aggregate of one source is computed over rows of a fact that joins it",
        "measures.py",
        "        if len(owners) == 1:\n            return owners[0]",
        "        if len(owners) == 1:\n"
        "            facts = [n for n in sorted(self.graph.nodes) if n != owners[0] and self.graph.reaches(n, owners[0])]\n"
        "            return facts[0] if facts else owners[0]",
    ),
    Mutation(
        "D10",
        "an alias stands for its source",
        "names.py",
        "return logical(node.name, list(parts[1:]))\n\n    def visible",
        "return logical(node.source.name, list(parts[1:]))\n\n    def visible",
    ),
    Mutation(
        "D11",
        "the check follows joins in both directions",
        "graph.py",
        "                        if not edge.to_one:\n                            continue\n",
        "",
    ),
    Mutation(
        "D12",
        "measures of facts joined one to one share the rows of one of them",
        "measures.py",
        "        if scope.home in owners:\n            return str(scope.home)",
        "        if scope.home in owners:\n            return min(n for n in self.graph.nodes if self.graph.reaches(n, scope.home) and self.graph.reaches(scope.home, n))",
    ),
    Mutation(
        "D12",
        "aggregates over facts joined one to one share the rows of one of them",
        "measures.py",
        "        if len(owners) == 1:\n            return owners[0]",
        "        if len(owners) == 1:\n"
        "            first = owners[0]\n"
        "            return min(n for n in self.graph.nodes if self.graph.reaches(n, first) and self.graph.reaches(first, n))",
    ),
    Mutation(
        "D13",
        "a filter on a derived measure is lost",
        "measures.py",
        "guarded = self.guarded(formula, guards, lambda leaf: True)",
        "guarded = self.guarded(formula, guards, lambda leaf: not formula.refs)",
    ),
    Mutation("D14", "hidden columns are answered", "names.py", 'if found.visibility == "hidden":', "if False:"),
    Mutation("D15", "sides of a join are taken by position", "joins.py", "if reversed_ else", "if False else"),
    Mutation(
        "D16",
        "an OR in a join is read as AND",
        "joins.py",
        "for clause in conjuncts(tree):",
        "for clause in [c for t in conjuncts(tree) for c in (t.flatten() if isinstance(t, exp.Or) else [t])]:",
    ),
    Mutation(
        "D16",
        "a constant in a join is dropped",
        "joins.py",
        'extras.append(qualify(clause, node if side == "target" else source.name))',
        "pass",
    ),
    Mutation(
        "D17",
        "expressions with one automatic name overwrite each other",
        "outputs.py",
        "        while unique.casefold() in used:\n",
        "        while False:\n",
    ),
    Mutation(
        "D17",
        "of two expressions with one automatic name the first is kept",
        "request.py",
        "identity = (name, ref or formula.shown.sql())",
        'identity = (name, "")',
    ),
    Mutation(
        "D18",
        "SQLite weeks start on the Monday after",
        "dialects/sqlite.py",
        "STRFTIME('%Y-%m-%d', :x, '-6 days', 'weekday 1')",
        "STRFTIME('%Y-%m-%d', :x, 'weekday 1')",
    ),
    Mutation(
        "D18",
        "SQLite hours are cut to the day",
        "dialects/sqlite.py",
        "STRFTIME('%Y-%m-%d %H:00:00', :x)",
        "STRFTIME('%Y-%m-%d', :x)",
    ),
    Mutation(
        "D19",
        "any granularity is taken",
        "timegrain.py",
        "    if name not in GRAINS:\n",
        "    GRAINS.setdefault(name, GRAINS['day'])\n    if False:\n",
    ),
    Mutation(
        "D19",
        "any direction is taken",
        "models.py",
        'direction: Literal["asc", "desc"] = "asc"',
        'direction: str = "asc"',
    ),
    Mutation(
        "D20",
        "the filter of a percentile is lost",
        "physical.py",
        'call.set("expressions", [_when(guard, call.expressions[0]), call.expressions[1]])',
        'call.set("expressions", [call.expressions[0], call.expressions[1]])',
    ),
)


def fits(mutation: Mutation, package: Path = ROOT / "semantic_layer") -> bool:
    """Whether the source still holds the text to change, once."""
    return (package / mutation.module).read_text(encoding="utf-8").count(mutation.old) == 1


def check(mutation: Mutation, directory: Path) -> tuple[bool, str]:
    """Whether a test named for the defect fails on a copy with it, made in `directory`; and the first that fails."""
    if not fits(mutation):
        return False, f"the text to change is not in {mutation.module} once"
    for name in ("semantic_layer", "tests"):
        shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    (directory / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n", encoding="utf-8")
    path = directory / "semantic_layer" / mutation.module
    path.write_text(path.read_text(encoding="utf-8").replace(mutation.old, mutation.new), encoding="utf-8")
    done = _run_tests(directory, mutation.defect)
    failed = re.search(r"^(?:FAILED|ERROR) (.+)$", done.stdout, re.MULTILINE)
    first = failed.group(1) if failed else done.stdout[-300:].strip()
    # -k D1 also runs the tests of D10: only its own count
    own = re.search(rf"\[{mutation.defect} |_{mutation.defect.lower()}_", first)
    return done.returncode == 1 and own is not None, first


def _run_tests(tree: Path, defect: str) -> subprocess.CompletedProcess[str]:
    plugins = [part for name in ("cacheprovider", "xdist", "hypothesispytest") for part in ("-p", f"no:{name}")]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "--tb=no", *plugins]
    command += ["-k", f"{defect} or {defect.lower()}_", TESTS]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


def main(wanted: Sequence[str]) -> int:
    """Print the table; 0 if every wanted defect (default: all) is caught."""
    survivors = 0
    print(f"{'defect':<7} {'verdict':<9} planted, and the first test to fail")
    for mutation in MUTATIONS:
        if wanted and mutation.defect not in wanted:
            continue
        with tempfile.TemporaryDirectory() as directory:
            caught, first = check(mutation, Path(directory))
        survivors += not caught
        verdict = "caught" if caught else "SURVIVES"
        print(f"{mutation.defect:<7} {verdict:<9} {mutation.what}: {first[:150]}", flush=True)
    print(f"\n{survivors} planted defects not caught" if survivors else "\nevery planted defect is caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
