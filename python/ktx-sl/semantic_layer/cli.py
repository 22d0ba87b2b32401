"""`semantic-layer`: plan a query from the command line.

Exit status: 0 done, 1 refused (stderr: `error[code]: message`), 2 wrong usage.
Only arguments and printing live here; the work is the engine's.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .engine import SemanticEngine
from .errors import InvalidModel, InvalidQuery, SemanticLayerError
from .loader import read_yaml
from .manifest import explain
from .models import ResolvedPlan, SourceDefinition

__all__ = ["build_parser", "main", "print_plan"]


def build_parser() -> argparse.ArgumentParser:
    """The command line, without its rules on combining options."""
    parser = argparse.ArgumentParser(
        prog="semantic-layer", description="Measures by dimensions to one correct SQL statement."
    )
    parser.add_argument(
        "command", nargs="?", choices=["schema", "dump-schema"], help="print the JSON Schema of a source and stop"
    )
    parser.add_argument("--sources", "-s", metavar="DIR", help="directory of source YAML files")
    parser.add_argument("--model", metavar="FILE", help="one YAML file holding a list of sources")
    parser.add_argument("--dialect", "-d", default="postgres", help="SQL dialect (default: postgres)")
    parser.add_argument("--query", "-q", metavar="JSON", help="the query")
    parser.add_argument("--json", action="store_true", help="read the query from standard input")
    parser.add_argument("--plan", action="store_true", help="print the plan, then the SQL")
    parser.add_argument("--plan-only", action="store_true", help="print the plan and no SQL")
    parser.add_argument("--compact", action="store_true", help="leave out the '-- dialect' line")
    parser.add_argument("--list-sources", action="store_true", help="print the sources and stop")
    parser.add_argument("--suggest", action="store_true", help="say whether the query answers and, if not, what to do")
    parser.add_argument("--format", choices=["text", "json"], default="text", help="form of the output (default: text)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` and return its exit status; wrong usage raises `SystemExit(2)`."""
    parser = build_parser()
    options = parser.parse_args(argv)
    if options.command:
        print(json.dumps(SourceDefinition.model_json_schema(), indent=2, sort_keys=True))
        return 0
    if (options.sources is None) == (options.model is None):
        parser.error("exactly one of --sources and --model is required")
    if options.query is not None and options.json:
        parser.error("--query and --json exclude each other")
    if not options.list_sources and options.query is None and not options.json:
        parser.error("a query is required: --query JSON, or --json to read it from standard input")
    try:
        return _run(options)
    except SemanticLayerError as error:
        if options.format == "json":
            print(json.dumps({"error": error.to_dict()}, indent=2, default=str))
        print(f"error[{error.code}]: {error}", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    engine = _engine(options)
    as_json = options.format == "json"
    if options.list_sources:
        if as_json:
            _print_json([source.model_dump(exclude_none=True) for source in engine.sources.values()])
        else:
            _print_sources(engine.sources.values())
        return 0
    query = _query(options)
    if options.suggest:
        advice = engine.suggest(query)
        _print_json(advice) if as_json else _print_suggestion(advice)
        return 0 if advice["success"] else 1
    if options.plan_only:
        plan = engine.plan_only(query)
        _print_json(plan.model_dump()) if as_json else print_plan(plan)
        return 0
    result = engine.query(query)
    if as_json:
        _print_json(result.model_dump())
        return 0
    if options.plan:
        print_plan(result.resolved_plan)
        print()
    if not options.compact:
        print(f"-- dialect: {result.dialect}")
    print(result.sql)
    return 0


def _engine(options: argparse.Namespace) -> SemanticEngine:
    if options.model is None:
        if not Path(options.sources).is_dir():
            raise InvalidModel(
                "invalid_model", f"{options.sources} is not a directory; give one that holds source YAML files"
            )
        return SemanticEngine(options.sources, dialect=options.dialect)
    return SemanticEngine.from_sources(_model_file(Path(options.model)), dialect=options.dialect)


def _model_file(path: Path) -> dict[str, SourceDefinition]:
    try:
        data = read_yaml(path)
    except OSError as error:
        raise InvalidModel("invalid_model", f"{path} cannot be read: {error.strerror}") from error
    if not isinstance(data, list):
        raise InvalidModel("invalid_model", f"{path} must hold a list of sources")
    sources: dict[str, SourceDefinition] = {}
    for position, entry in enumerate(data):
        try:
            source = SourceDefinition.model_validate(entry)
        except ValidationError as error:
            raise InvalidModel("invalid_model", f"{path}: source {position}: {explain(error)}") from error
        if source.name in sources:
            raise InvalidModel("invalid_model", f"Duplicate source name {source.name!r} in {path}; rename one of them")
        sources[source.name] = source
    return sources


def _query(options: argparse.Namespace) -> dict[str, Any]:
    text = sys.stdin.read() if options.json else options.query
    try:
        query = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidQuery("invalid_query", f"the query is not valid JSON: {error}") from error
    if not isinstance(query, dict):
        raise InvalidQuery("invalid_query", 'the query must be a JSON object such as {"measures": ["orders.revenue"]}')
    return query


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, default=str))


def print_plan(plan: ResolvedPlan) -> None:
    """Print `plan` for people."""
    print("Resolved Plan")
    print(f"  Sources: {', '.join(plan.sources_used) or '-'}")
    grain = f" (grain: {', '.join(plan.anchor_grain)})" if plan.anchor_grain else ""
    print(f"  Anchor: {plan.anchor_source or '-'}{grain}")
    joins = [
        f"{j.from_source} → {j.to_source} ({j.relationship}) on {j.from_column} = {j.to_column}" for j in plan.joins
    ]
    _print_section("Joins:", joins)
    print(f"  Fan-out: {plan.fan_out_description}")
    _print_section("Locality:", plan.aggregate_locality)
    _print_section("WHERE:", plan.where_filters)
    _print_section("HAVING:", plan.having_filters)
    _print_section("Columns:", [f"{column.alias} ({column.provenance})" for column in plan.columns])
    _print_section("Warnings:", [f"{warning.code}: {warning.message}" for warning in plan.warnings])
    if plan.refusal:
        _print_section("Refused:", [f"{plan.refusal.get('code')}: {plan.refusal.get('message')}"])


def _print_section(title: str, lines: Iterable[str]) -> None:
    listed = list(lines)
    if listed:
        print(f"  {title}")
        for line in listed:
            print(f"    {line}")


def _print_sources(sources: Iterable[SourceDefinition]) -> None:
    for source in sources:
        print(source.name + (f": {source.description}" if source.description else ""))
        print(f"  {'table: ' + source.table if source.table else 'sql source'}")
        print(f"  grain: {', '.join(source.grain)}")
        _print_section("columns:", [f"{c.name} ({c.type})" for c in source.columns if c.visibility != "hidden"])
        _print_section(
            "joins:",
            [f"→ {j.to} ({j.relationship}) on {j.on}" + (f" as {j.alias}" if j.alias else "") for j in source.joins],
        )
        _print_section(
            "measures:",
            [f"{m.name}: {m.expr}" + (f" (filter: {m.filter})" if m.filter else "") for m in source.measures],
        )
        _print_section("segments:", [f"{s.name}: {s.expr}" for s in source.segments])


def _print_suggestion(advice: Mapping[str, Any]) -> None:
    if advice["success"]:
        print("Query is valid.")
        return
    print(f"Query failed: {advice['error']}")
    for problem in advice["graph_errors"]:
        print(f"Graph error: {problem}")
    for suggestion in advice["suggestions"]:
        print(f"Suggestion: {suggestion['description']}")
        for join in suggestion["required_joins"]:
            print(f"  {join['source']} → {join['to']} ({join['relationship']}) on {join['on']}")
        for note in suggestion["notes"]:
            print(f"  {note}")
    if advice["repair"] is not None:
        print(f"Repair: {json.dumps(advice['repair'], default=str)}")


if __name__ == "__main__":
    raise SystemExit(main())
