"""The package as it is imported, and the command line before any capability is loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import ktx_daemon
import pytest
from ktx_daemon import resolve_package_version
from ktx_daemon.__main__ import build_parser
from ktx_daemon.capabilities import CAPABILITIES
from ktx_daemon.execution import handler_of, request_model_of

SOURCE = Path(ktx_daemon.__file__).parent


def loaded_after(code: str) -> set[str]:
    """Top-level modules outside the standard library that a fresh interpreter holds after `code`."""
    script = f"import sys\nbefore = set(sys.modules)\n{code}\nimport json\n" + (
        "print(json.dumps(sorted({m.partition('.')[0] for m in set(sys.modules) - before})))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(run.stdout.splitlines()[-1])) - set(sys.stdlib_module_names)


def test_importing_the_package_loads_the_standard_library_only() -> None:
    assert loaded_after("import ktx_daemon; ktx_daemon.VERSION") == {"ktx_daemon"}


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_load_the_standard_library_only(option: str) -> None:
    code = f"import ktx_daemon.__main__ as m\ntry: m.main(['{option}'])\nexcept SystemExit: pass"
    assert loaded_after(code) == {"ktx_daemon"}


def test_semantic_commands_load_no_heavy_library() -> None:
    code = (
        'import io, sys\nsys.stdin = io.StringIO(\'{"sources": [], "query": {"measures": []}}\')\n'
        "from ktx_daemon.__main__ import main\nmain(['semantic-query'])\nsys.stdin.seek(0)\nmain(['semantic-validate'])"
    )
    heavy = {"fastapi", "starlette", "uvicorn", "pandas", "numpy", "psycopg", "lkml", "requests", "anyio", "httpx"}
    assert not loaded_after(code) & heavy


def test_version_prefers_the_bundled_distribution() -> None:
    asked: list[str] = []

    def loader(name: str) -> str:
        asked.append(name)
        if name == "kaelio-ktx":
            raise PackageNotFoundError(name)
        return "1.2.3"

    assert resolve_package_version(loader) == "1.2.3"
    assert asked == ["kaelio-ktx", "ktx-daemon"]


def test_version_of_a_tree_without_metadata_is_local() -> None:
    def loader(name: str) -> str:
        raise PackageNotFoundError(name)

    assert resolve_package_version(loader) == "0.0.0+local"


def test_a_broken_installation_stays_visible() -> None:
    def loader(name: str) -> str:
        raise OSError("metadata cannot be read")

    with pytest.raises(OSError, match="cannot be read"):
        resolve_package_version(loader)


def test_works_without_metadata_of_either_package(tmp_path: Path) -> None:
    """As in the bundled wheel: both packages on the path, no dist-info for them."""
    (tmp_path / "ktx_daemon").symlink_to(SOURCE)
    code = (
        "import importlib.metadata as m\nreal = m.version\n"
        "def version(name):\n if name.startswith('ktx') or name == 'kaelio-ktx': raise m.PackageNotFoundError(name)\n"
        " return real(name)\nm.version = version\n"
        "import sys\nfrom ktx_daemon.__main__ import main\nsys.exit(main(['--version']))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "ktx-daemon 0.0.0+local\n", "")


def test_every_row_has_a_route_a_command_and_what_it_names() -> None:
    assert len({row.route for row in CAPABILITIES}) == len({row.command for row in CAPABILITIES}) == 11
    for row in CAPABILITIES:
        assert request_model_of(row).model_json_schema()["type"] == "object"
        assert callable(handler_of(row))


@pytest.mark.parametrize("row", CAPABILITIES, ids=lambda row: row.command)
def test_command_and_route_correspond(row: object) -> None:
    group, _, verb = row.route.removeprefix("/").partition("/")  # type: ignore[attr-defined]
    prefix = {"semantic-layer": "semantic", "embeddings": "embedding"}.get(group, group)
    assert row.command == f"{prefix}-{verb}"  # type: ignore[attr-defined]


def test_the_parser_knows_every_command() -> None:
    for row in CAPABILITIES:
        assert build_parser().parse_args([row.command]).command == row.command


def test_entry_points_are_looked_up_when_called(monkeypatch: pytest.MonkeyPatch) -> None:
    import ktx_daemon.__main__ as entry

    seen: dict[str, object] = {}
    monkeypatch.setattr(entry, "run_http_server", lambda **options: seen.update(options))
    assert entry.main(["serve-http", "--port", "0", "--allowed-host", "a", "--allowed-host", "b"]) == 0
    assert seen == {
        "host": "127.0.0.1",
        "port": 0,
        "log_level": "info",
        "enable_code_execution": False,
        "allowed_host": ["a", "b"],
    }


@pytest.mark.parametrize(
    ("command", "attribute", "body"),
    [
        ("database-introspect", "introspect_database_response", '{"connection_id": "c", "url": "postgres://h/d"}'),
        ("embedding-compute", "compute_embedding_response", '{"text": "a"}'),
        ("embedding-compute-bulk", "compute_embedding_bulk_response", '{"texts": ["a"]}'),
        ("code-execute", "execute_code_response", '{"code": "1"}'),
    ],
)
def test_a_replaced_forwarder_answers(
    command: str,
    attribute: str,
    body: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import io

    import ktx_daemon.__main__ as entry

    monkeypatch.setattr(entry, attribute, lambda request: {"seen": type(request).__name__})
    monkeypatch.setattr(sys, "stdin", io.StringIO(body))
    options = ["--enable-code-execution"] if command == "code-execute" else []
    assert entry.main([command, *options]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["seen"].endswith("Request")
