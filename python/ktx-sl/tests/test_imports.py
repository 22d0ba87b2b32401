"""Each module imports only modules before it; nothing imports the command line; only declared packages are used."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import semantic_layer

PACKAGE = Path(semantic_layer.__file__).parent

ORDER = (
    # text and values
    *("errors", "models", "manifest", "loader"),
    *("dialects", "safety", "expr", "sql_table_extractor", "table_identifier_parser", "duplicate_check"),
    # meaning
    *("joins", "graph", "names", "measures", "timegrain", "plan", "filters", "outputs", "request"),
    # decisions, then SQL
    *("rows", "planner", "physical", "bodies", "generator"),
    # around them
    *("report", "repair", "compat", "validate", "suggest", "engine", "cli", "__main__"),
)
ALLOWED = {"sqlglot", "pydantic", "yaml"}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(level, module) of every import, in functions too; those for type checkers only are left out."""

    def visit(node: ast.AST) -> Iterator[tuple[int, str]]:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        if isinstance(node, ast.ImportFrom):
            if node.module:
                yield node.level, node.module
            else:
                yield from ((node.level, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        for child in ast.iter_child_nodes(node):
            yield from visit(child)

    return visit(ast.parse(path.read_text(encoding="utf-8")))


def modules() -> list[str]:
    return sorted(p.stem for p in PACKAGE.glob("*.py") if p.stem != "__init__")


def test_every_module_has_a_place() -> None:
    assert sorted({*modules(), "dialects"}) == sorted(ORDER)


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_earlier_ones(module: str) -> None:
    place = ORDER.index(module)
    for level, name in imports(PACKAGE / f"{module}.py"):
        first = name.split(".")[0]
        if level == 0 and first == "semantic_layer":
            first = name.split(".")[1]
        elif level == 0:
            continue
        assert first in ORDER[:place], f"{module} imports {first}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "dialects").glob("*.py")), ids=lambda path: path.stem)
def test_a_dialect_imports_only_errors_and_its_base(path: Path) -> None:
    for level, name in imports(path):
        if level == 1:
            assert name == "base"
        if level == 2:
            assert name == "errors"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_only_declared_packages_are_used(path: Path) -> None:
    known = set(sys.stdlib_module_names) | ALLOWED | {"semantic_layer"}
    assert {name.split(".")[0] for level, name in imports(path) if level == 0} <= known


def test_importing_the_package_loads_no_parser() -> None:
    code = "import sys, semantic_layer; print('sqlglot' in sys.modules, 'pydantic' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]


def test_only_the_dialects_in_use_are_loaded() -> None:
    code = (
        "import sys; from semantic_layer import SemanticEngine; SemanticEngine.from_sources({}, dialect='sqlite')"
        ".planner.graph.dialect.sqlglot;"
        "print(*sorted(m for m in sys.modules if m.startswith('sqlglot.dialects.')))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["sqlglot.dialects.dialect", "sqlglot.dialects.sqlite"]


def test_every_exported_name_exists() -> None:
    for name in semantic_layer.__all__:
        assert getattr(semantic_layer, name) is not None
    assert set(semantic_layer.__all__) <= set(dir(semantic_layer))
