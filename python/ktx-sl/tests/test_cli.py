"""The command line: what it prints and how it ends."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from semantic_layer.cli import main
from semantic_layer.models import SourceDefinition
from worked import SHOP_MODEL

QUERY = json.dumps({"measures": ["orders.revenue"], "dimensions": ["customers.segment"]})
FAN_OUT = json.dumps({"measures": ["orders.revenue"], "dimensions": ["products.category"]})


@pytest.fixture
def shop(tmp_path: Path) -> str:
    for name, source in SHOP_MODEL.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(source))
    return str(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(arguments)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_prints_sql_under_its_dialect(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "-s", shop, "-d", "duckdb", "-q", QUERY)
    assert (status, out.splitlines()[0]) == (0, "-- dialect: duckdb")
    assert "SELECT" in out
    _, compact, _ = run(capsys, "-s", shop, "-d", "duckdb", "-q", QUERY, "--compact")
    assert out == f"-- dialect: duckdb\n{compact}"


def test_reads_the_query_from_standard_input(
    shop: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(QUERY))
    status, out, _ = run(capsys, "-s", shop, "--json", "--compact")
    assert status == 0
    assert out == run(capsys, "-s", shop, "-q", QUERY, "--compact")[1]


def test_one_file_may_hold_the_model(shop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "model.yml"
    file.write_text(yaml.safe_dump(list(SHOP_MODEL.values())))
    assert run(capsys, "--model", str(file), "-q", QUERY)[1] == run(capsys, "-s", shop, "-q", QUERY)[1]


def test_plan_then_sql(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    query = json.dumps(
        {
            "measures": ["orders.revenue"],
            "dimensions": ["customers.segment"],
            "filters": ["customers.vip", "orders.revenue > 1"],
        }
    )
    status, out, _ = run(capsys, "-s", shop, "-q", query, "--plan")
    assert status == 0
    for part in (
        "Resolved Plan",
        "Anchor",
        "Joins:",
        "Locality:",
        "WHERE:",
        "HAVING:",
        "-- dialect: postgres",
        "SELECT",
    ):
        assert part in out
    status, only, _ = run(capsys, "-s", shop, "-q", query, "--plan-only")
    assert status == 0
    assert out.startswith(only)
    assert "SELECT" not in only


def test_a_plan_of_a_refused_query_says_so(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "-s", shop, "-q", FAN_OUT, "--plan-only")
    assert status == 0
    assert "Refused:" in out and "fan_out" in out


def test_lists_sources(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "-s", shop, "--list-sources")
    assert status == 0
    for part in (
        "joins:",
        "→ customers (many_to_one) on customer_id = customers.id",
        "→ customers (many_to_one) on ship_to_id = ship_to.id as ship_to",
        "revenue: sum(total) (filter: status <> 'refunded')",
    ):
        assert part in out


@pytest.mark.parametrize(
    ("query", "status", "parts"),
    [(QUERY, 0, ["Query is valid."]), (FAN_OUT, 1, ["Query failed:", "Suggestion:", "order_items.irev"])],
)
def test_suggests(query: str, status: int, parts: list[str], shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    ended, out, _ = run(capsys, "-s", shop, "-q", query, "--suggest")
    assert ended == status
    for part in parts:
        assert part in out


def test_suggests_a_join_between_unconnected_sources(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "model.yaml"
    columns = [{"name": "id", "type": "number"}, {"name": "customer_id", "type": "number"}]
    file.write_text(
        yaml.safe_dump(
            [{"name": name, "table": name, "grain": ["id"], "columns": columns} for name in ("orders", "customers")]
        )
    )
    query = json.dumps({"measures": ["count(orders.id)"], "dimensions": ["customers.id"]})
    status, out, _ = run(capsys, "--model", str(file), "-q", query, "--suggest")
    assert status == 1
    assert "Graph error: Disconnected components: 2" in out
    assert "orders → customers (many_to_one) on customer_id = customers.id" in out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["-q", FAN_OUT], "fan_out"),
        (["-q", "{"], "invalid_query"),
        (["-q", "[]"], "invalid_query"),
        (["-q", json.dumps({"measures": ["orders.revenu"]})], "not_a_measure"),
        (["-q", QUERY, "-d", "esperanto"], "unknown_dialect"),
    ],
)
def test_a_refusal_is_one_line_with_its_code(
    arguments: list[str], code: str, shop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, "-s", shop, *arguments)
    assert (status, out) == (1, "")
    assert err.startswith(f"error[{code}]: ")
    assert "Traceback" not in err


def test_a_missing_directory_and_a_broken_model_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "-s", str(tmp_path / "missing"), "-q", QUERY)[2].startswith("error[invalid_model]")
    assert run(capsys, "--model", str(tmp_path / "missing"), "-q", QUERY)[2].startswith("error[invalid_model]")
    file = tmp_path / "model.yaml"
    for text in ("name: x", "- [", "- {name: x}"):
        file.write_text(text)
        assert run(capsys, "--model", str(file), "-q", QUERY)[2].startswith("error[invalid_model]")


@pytest.mark.parametrize(
    "extra", [["-q", QUERY], ["-q", QUERY, "--plan-only"], ["--list-sources"], ["-q", QUERY, "--suggest"]]
)
def test_json_output_is_json(extra: list[str], shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "-s", shop, *extra, "--format", "json")
    assert status == 0
    assert json.loads(out)


def test_a_refusal_in_json_holds_the_repair(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "-s", shop, "-q", FAN_OUT, "--format", "json")
    error = json.loads(out)["error"]
    assert (status, error["code"]) == (1, "fan_out")
    assert error["repair"]
    assert err.startswith("error[fan_out]")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-q", QUERY],
        ["-s", "a", "--model", "b", "-q", QUERY],
        ["-s", "a"],
        ["-s", "a", "-q", QUERY, "--json"],
        ["-s", "a", "-q", QUERY, "--format", "xml"],
        ["nonsense"],
    ],
)
def test_wrong_usage_ends_with_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: semantic-layer" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["schema", "dump-schema"])
def test_schema(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, command)
    schema: dict[str, Any] = json.loads(out)
    assert status == 0
    assert schema == SourceDefinition.model_json_schema()
    assert out == json.dumps(schema, indent=2, sort_keys=True) + "\n"


@pytest.mark.parametrize("module", ["semantic_layer", "semantic_layer.cli"])
def test_runs_as_a_module(module: str, shop: str) -> None:
    command = [sys.executable, "-m", module, "-s", shop, "-q", QUERY, "--compact"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(("SELECT", "WITH"))
