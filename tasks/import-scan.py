"""Scan staged Python sources for imports, syntax errors and the entry point.

Reads `{"root", "modules", "entryPoint", "extras"}` as JSON from standard input,
prints one JSON object. Import names are mapped to distributions by the metadata
of the environment that runs this, which holds every default dependency.

Source of the import forms: the Python language reference, "The import system".
"""

import ast
import json
import sys
from importlib.metadata import distributions
from pathlib import Path


def main():
    request = json.load(sys.stdin)
    root, modules = Path(request["root"]), request["modules"]
    files = sorted(path for module in modules for path in (root / module).rglob("*.py"))
    known = {path.relative_to(root).with_suffix("").as_posix() for path in files}
    owners = owners_of_modules()
    third_party, errors = {}, []
    for path in files:
        name = path.relative_to(root).as_posix()
        try:
            source = path.read_bytes()
            tree = ast.parse(source, filename=name)
        except (SyntaxError, ValueError) as error:
            errors.append(
                {"path": name, "line": getattr(error, "lineno", None) or 1, "message": str(error).split(" (")[0]}
            )
            continue
        children = ast.iter_child_nodes if b"import_module" in source or b"__import__" in source else statements_of
        for found in imports(tree, package_of(name), children):
            top = found["module"].split(".")[0]
            if top in modules:
                if not is_known(found["module"], known) and not found["lazy"]:
                    errors.append(
                        {
                            "path": name,
                            "line": found["line"],
                            "message": f"imports {found['module']}, which is not among the staged files",
                        }
                    )
            elif top not in sys.stdlib_module_names:
                use = third_party.setdefault(
                    top,
                    {
                        "module": top,
                        "path": name,
                        "line": found["line"],
                        "lazy": True,
                        "distributions": sorted(owners.get(top, [])),
                    },
                )
                if use["lazy"] and not found["lazy"]:
                    use.update(path=name, line=found["line"], lazy=False)
    entry = entry_point(root, request["entryPoint"])
    json.dump(
        {"files": len(files), "errors": errors, "thirdParty": list(third_party.values()), "entryPoint": entry},
        sys.stdout,
    )


def owners_of_modules():
    """Top-level module -> names of the distributions that installed it, by their RECORD.

    `importlib.metadata.packages_distributions` asks the disk for every file of every distribution besides, which
    costs as much as the whole scan.
    """
    owners = {}
    for distribution in distributions():
        rows = (distribution.read_text("RECORD") or "").splitlines()
        name = distribution.name  # parses its metadata, each time
        for top in {row.split(",")[0].split("/")[0].partition(".")[0] for row in rows}:
            owners.setdefault(top, set()).add(name)
    return owners


def package_of(name):
    """The package that relative imports in file `name` start from, as parts."""
    return name.split("/")[:-1]


def is_known(module, known):
    path = module.replace(".", "/")
    return path in known or f"{path}/__init__" in known or any(one.startswith(f"{path}/") for one in known)


def statements_of(node):
    """Statements directly below a statement: most files need no more, and expressions are nine tenths of a tree."""
    return [one for name in ("body", "handlers", "orelse", "finalbody", "cases") for one in getattr(node, name, ())]


def imports(tree, package, children_of):
    """Every import of a module: dotted name, line, and whether it may never run at import time."""
    waiting = [(tree, False)]  # a stack, in the order of the source
    while waiting:
        node, lazy = waiting.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield {"module": alias.name, "line": node.lineno, "lazy": lazy}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module:
                yield {"module": module, "line": node.lineno, "lazy": lazy}
        elif isinstance(node, ast.Call) and dynamic(node):
            yield {"module": node.args[0].value, "line": node.lineno, "lazy": lazy}
        never = lazy or isinstance(node, FUNCTIONS)
        guarded = (isinstance(node, ast.Try) and guards_import(node)) or (
            isinstance(node, ast.If) and is_type_checking(node.test)
        )
        body = {id(child) for child in node.body} if guarded else ()
        waiting.extend(reversed([(child, never or id(child) in body) for child in children_of(node)]))


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def dynamic(node):
    """`importlib.import_module("name")` and `__import__("name")` with a literal absolute name."""
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if called not in ("import_module", "__import__") or not node.args:
        return False
    first = node.args[0]
    return isinstance(first, ast.Constant) and isinstance(first.value, str) and not first.value.startswith(".")


def guards_import(node):
    names = {
        getattr(part, "id", None)
        for handler in node.handlers
        for part in ast.walk(handler.type or ast.Name("Exception"))
    }
    return bool(names & {"ImportError", "ModuleNotFoundError", "Exception"})


def is_type_checking(test):
    return getattr(test, "id", getattr(test, "attr", None)) == "TYPE_CHECKING"


def entry_point(root, target):
    """Whether `package.module:name` is bound at the top level of that module."""
    module, name = target.split(":")
    base = root.joinpath(*module.split("."))
    path = next((one for one in (base.with_suffix(".py"), base / "__init__.py") if one.is_file()), None)
    if path is None:
        return False
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:
        return True  # reported as such
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name:
            return True
        if isinstance(node, ast.Import | ast.ImportFrom) and any(
            (one.asname or one.name) == name for one in node.names
        ):
            return True
        if isinstance(node, ast.Assign) and any(getattr(one, "id", None) == name for one in node.targets):
            return True
    return False


main()
