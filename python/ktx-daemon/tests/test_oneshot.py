"""One request in, one answer out: the protocol of the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

SQL = {"dialect": "postgres", "sql": "select 'é' as x"}


def test_success_is_one_compact_line_and_silence(one_shot: Any) -> None:
    run = one_shot("sql-validate-read-only", SQL)
    assert (run.returncode, run.stdout, run.stderr) == (0, b'{"ok":true,"error":null}\n', b"")


BROKEN = [
    (b"[]", "object"),
    (b"", "Expecting value: line 1 column 1 (char 0)"),
    (b"{", "Expecting property name"),
    (b"null", "object"),
    (b'{"sql": "\xff"}', "utf-8"),
    (b"[" * 100_000 + b"]" * 100_000, "nested deeper than 64"),
    (b'{"dialect": "postgres"}', "sql: Field required"),
    (b'{"dialect": NaN}', "NaN"),
    (b'{"dialect": "nosuch", "sql": "select 1"}', "Unknown SQL dialect"),
]


@pytest.mark.parametrize(("body", "words"), BROKEN, ids=[repr(row[0][:14]) for row in BROKEN])
def test_failure_is_one_line_on_stderr_and_exit_1(one_shot: Any, body: bytes, words: str) -> None:
    run = one_shot("sql-validate-read-only", body)
    assert (run.returncode, run.stdout) == (1, b"")
    assert len(run.stderr.splitlines()) == 1
    assert words in run.stderr.decode()
    assert b"Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_json"),
        (b"[]", "invalid_request"),
        (b"{}", "invalid_request"),
        (b'{"dialect": "nosuch", "sql": ""}', "unknown_dialect"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "limit_exceeded"),
    ],
)
def test_json_errors_carry_the_code(one_shot: Any, body: bytes, code: str) -> None:
    run = one_shot("sql-validate-read-only", body, "--error-format", "json")
    error = json.loads(run.stderr.splitlines()[-1])["error"]
    assert (run.returncode, run.stdout, error["code"]) == (1, b"", code)
    assert error["message"]
    if code == "invalid_request":
        assert all(set(detail) == {"type", "loc", "msg"} for detail in error["details"])
    else:
        assert "details" not in error


def test_errors_do_not_quote_the_request(one_shot: Any) -> None:
    run = one_shot("embedding-compute-bulk", {"texts": {"secret-key": "secret-value"}}, "--error-format", "json")
    assert b"secret" not in run.stderr


def test_output_is_utf8_in_any_locale(one_shot: Any) -> None:
    plain = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    body = {"items": [{"key": "é☃", "sql_table_name": "ä.b", "dialect": "postgres"}]}
    run = one_shot("sql-parse-table-identifier", body, environment=plain)
    assert (run.returncode, run.stderr) == (0, b"")
    assert json.loads(run.stdout.decode("utf-8"))["results"]["é☃"]["schema"] == "ä"
    failed = one_shot("sql-validate-read-only", {"dialect": "é", "sql": ""}, environment=plain)
    assert "é" in failed.stderr.decode("utf-8")


def test_the_answer_is_kept_apart_from_what_is_printed(one_shot: Any) -> None:
    run = one_shot(
        "code-execute", {"code": "import os; os.write(1, b'raw'); print('x'); result = 1"}, "--enable-code-execution"
    )
    assert json.loads(run.stdout)["console_output"] == "rawx\n"
    assert len(run.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [[], ["nosuch"], ["semantic-query", "--nosuch"], ["sql-analyze-batch", "--error-format", "xml"], ["code-execute"]],
)
def test_usage_errors_exit_2(arguments: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "ktx_daemon", *arguments], input=b"{}", capture_output=True, timeout=60, check=False
    )
    assert (run.returncode, run.stdout) == (2, b"")
    assert b"Traceback" not in run.stderr


@pytest.mark.parametrize("code", ["import sys; sys.exit(0)", "import os; os._exit(42)", "raise SystemExit(2)"])
def test_executed_code_does_not_choose_the_exit_status(one_shot: Any, code: str) -> None:
    run = one_shot("code-execute", {"code": code}, "--enable-code-execution")
    assert run.returncode == 0
    assert json.loads(run.stdout)["error"]


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_ctrl_c_exits_130_and_no_end_leaves_a_process_or_a_file(tmp_path: Path, number: int, status: int) -> None:
    marker, temporary = tmp_path / "started", tmp_path / "temporary"
    temporary.mkdir()
    code = (
        "open('note', 'w').write('x')\n"
        f"open({str(marker)!r}, 'w').write(str(__import__('os').getpid()))\nimport time\ntime.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "ktx_daemon", "code-execute", "--enable-code-execution"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({"code": code}).encode())
    process.stdin.close()
    process.stdin = None
    ends = time.monotonic() + 30
    while not (marker.exists() and marker.read_text()) and time.monotonic() < ends:
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (status, b"", b"")
    runner = int(marker.read_text())
    ends = time.monotonic() + 5
    while (os.path.exists(f"/proc/{runner}") or any(temporary.iterdir())) and time.monotonic() < ends:
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{runner}")
    assert list(temporary.iterdir()) == []


def test_a_reader_that_leaves_is_a_failure_without_a_traceback() -> None:
    script = f"printf '%s' '{json.dumps(SQL)}' | {sys.executable} -m ktx_daemon sql-validate-read-only >&-; echo $?"
    run = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert run.stdout == "1\n"
    assert len(run.stderr.splitlines()) == 1
    assert "Traceback" not in run.stderr


def test_standard_input_has_a_limit(one_shot: Any) -> None:
    run = one_shot("sql-validate-read-only", b" " * (64 * 1024 * 1024 + 1), "--error-format", "json")
    assert json.loads(run.stderr)["error"]["code"] == "limit_exceeded"
