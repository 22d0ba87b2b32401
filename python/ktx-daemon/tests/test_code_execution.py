"""Caller's code: off unless switched on, and answered in time whatever it does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Daemon, Serve

FIELDS = {"formatted_result", "result", "console_output", "error", "message", "visualizations"}


def run(daemon: Daemon, code: str) -> dict[str, Any]:
    answer = daemon.post("/code/execute", {"code": code})
    assert answer.status == 200, answer.body
    assert set(answer.json) == FIELDS
    result: dict[str, Any] = answer.json
    return result


def test_off_by_default(serve: Serve) -> None:
    answer = serve().post("/code/execute", {"code": "result = 1"})
    assert (answer.status, answer.json["code"]) == (404, "not_found")


VALUES = [
    ("1 + 1", 2),
    ("None", None),
    ("{'a': (1, 2), 3: True, None: 1.5}", {"a": [1, 2], "3": True, "null": 1.5}),
    ("{3, 1, 2}", [1, 2, 3]),
    ("[float('nan'), float('inf'), -0.5]", [None, None, -0.5]),
    ("2**64 - 1", 2**64 - 1),
    ("2**64", "18446744073709551616"),
    ("-(2**70)", "-1180591620717411303424"),
    ("b'ab'", "YWI="),
    ("__import__('datetime').datetime(2024, 1, 2, 3, 4, 5)", "2024-01-02T03:04:05"),
    ("__import__('datetime').date(2024, 1, 2)", "2024-01-02"),
    ("__import__('decimal').Decimal('1.10')", "1.10"),
    ("np.array([[1, 2], [3, 4]])", [[1, 2], [3, 4]]),
    ("[np.int64(7), np.float32('nan'), np.bool_(True), np.datetime64('2024-01-02')]", [7, None, True, "2024-01-02"]),
    ("pd.Series([1, None, 3])", [1.0, None, 3.0]),
    (
        "pd.DataFrame({'a': [1, 2], 'b': ['x', None], 't': pd.to_datetime(['2024-01-02', None])})",
        [{"a": 1, "b": "x", "t": "2024-01-02T00:00:00"}, {"a": 2, "b": None, "t": None}],
    ),
    ("json.loads('{\"a\": [1]}')", {"a": [1]}),
    ("requests.codes.ok", 200),
    ("'lone \\ud800 surrogate'", "lone ? surrogate"),
]


@pytest.mark.parametrize(("expression", "expected"), VALUES, ids=[row[0][:30] for row in VALUES])
def test_values_become_json(daemon: Daemon, expression: str, expected: object) -> None:
    answer = run(daemon, f"result = {expression}")
    assert answer["error"] is None
    assert answer["result"] == expected


@pytest.mark.parametrize(
    "expression",
    ["lambda: 1", "object()", "1j", "(i for i in [1])", "[[1], open]", "(lambda a: a.append(a) or a)([])"],
)
def test_values_without_a_json_form_are_an_error(daemon: Daemon, expression: str) -> None:
    answer = run(daemon, f"print('before')\nresult = {expression}")
    assert answer["error"].startswith("Unserialisable: ")
    assert answer["console_output"] == "before\n"
    assert answer["result"] is None


def test_no_result_is_a_message(daemon: Daemon) -> None:
    answer = run(daemon, "x = 1")
    assert "result" in answer["message"]
    assert answer["error"] is None


def test_the_formatted_result_has_its_sections(daemon: Daemon) -> None:
    assert run(daemon, "result = [1]")["formatted_result"] == "\n\n=== Result ===\n\n[\n  1\n]"
    coloured = run(daemon, "print('\\x1b[31mred\\x1b[0m')\nresult = 'text'")
    assert coloured["formatted_result"] == "=== Console Output ===\n\nred\n\n\n=== Result ===\n\ntext"
    failed = run(daemon, "print('a')\n1/0")
    assert failed["formatted_result"].startswith("=== Console Output ===\n\na\n\n\n=== Error ===\n\nZeroDivisionError")
    assert run(daemon, "pass")["formatted_result"].startswith("\n\n=== Message ===\n\n")


ENDINGS = [
    ("raise ValueError('bad')", "ValueError: bad (line 2)"),
    ("import sys; sys.exit(3)", "SystemExit: 3"),
    ("import os; os._exit(0)", "ended its own process with status 0"),
    ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended by SIGSEGV"),
    ("result = = 1", "SyntaxError: invalid syntax"),
    ("def f(): return f()\nf()", "RecursionError"),
    ("x = bytearray(10 * 2**30)", "MemoryError"),
    ("save_df_to_scratchpad(1)", "required for scratchpad operations"),
    ("read_scratchpad_file('x')", "required for scratchpad operations"),
    ("save_visualization({})", "required for visualization operations"),
    ("open('big', 'wb').write(b'x' * (65 * 2**20))", "File too large"),
    ("class E(Exception):\n def __str__(self): raise KeyError\nraise E", "E"),
    ("import os\nwhile True: os.fork()", "limit on time, memory or processes"),
    ("import os; os.setpgid(0, 0); os.kill(os.getppid(), 9)\nimport time; time.sleep(60)", "RuntimeError"),
]


@pytest.mark.parametrize(("code", "error"), ENDINGS, ids=[row[0][:30] for row in ENDINGS])
def test_every_ending_is_an_error_that_keeps_earlier_output(daemon: Daemon, code: str, error: str) -> None:
    syntax = error.startswith("SyntaxError")
    answer = run(daemon, code if syntax else f"print('earlier')\n{code}")
    assert error in answer["error"]
    assert answer["console_output"] == ("" if syntax else "earlier\n")
    assert run(daemon, "result = 'clean'")["result"] == "clean"


def test_endless_code_is_stopped_and_the_next_request_is_clean(daemon: Daemon) -> None:
    answer = run(daemon, "print('earlier')\nwhile True: pass")
    assert "longer than 30 s" in answer["error"] or "SIGXCPU" in answer["error"] or "SIGKILL" in answer["error"]
    assert answer["console_output"] == "earlier\n"
    assert run(daemon, "result = pd.DataFrame({'a': [1]})")["result"] == [{"a": 1}]


def test_output_is_cut_with_a_note(daemon: Daemon) -> None:
    answer = run(daemon, "import os\nfor _ in range(1000): os.write(1, b'x' * 1_000_000)\nresult = 1")
    assert answer["result"] == 1 or "longer than" in answer["error"]  # a busy machine may need more than its time
    assert answer["console_output"].startswith("x" * 1024 * 1024)
    assert answer["console_output"].endswith("[output cut at 1048576 bytes]")
    assert len(answer["console_output"]) < 1024 * 1024 + 100


def test_raw_writes_are_captured_in_order(daemon: Daemon) -> None:
    answer = run(
        daemon, "import os, sys\nprint('a')\nos.write(1, b'b\\n')\nprint('c', file=sys.stderr)\nos.system('echo d')"
    )
    assert answer["console_output"] == "a\nb\nc\nd\n"


def test_what_the_code_changes_stays_in_its_process(daemon: Daemon) -> None:
    assert (
        run(daemon, "import pandas\npandas.DataFrame = None\nimport json\njson.dumps = None\nresult = 1")["result"] == 1
    )
    assert run(daemon, "result = pd.DataFrame({'a': [1]})")["result"] == [{"a": 1}]


def test_what_the_code_starts_ends_with_it(daemon: Daemon) -> None:
    import psutil

    code = "import subprocess\nresult = [subprocess.Popen(['sleep', '300'], start_new_session=s).pid for s in (True, False)]"
    for pid in run(daemon, code)["result"]:
        assert not psutil.pid_exists(pid)


def test_the_environment_is_minimal_and_the_directory_its_own(serve: Serve) -> None:
    daemon = serve("--enable-code-execution", token="hidden-token", environment={"SECRET_OF_THE_USER": "hidden"})
    code = (
        "import os\nresult = [dict(os.environ), os.listdir('.'), os.getcwd(),"
        " sorted(int(fd) for fd in os.listdir('/proc/self/fd'))]"
    )
    environment, files, directory, descriptors = run(daemon, code)["result"]
    assert "hidden" not in json.dumps(environment)
    assert files == []
    assert environment["HOME"] == directory
    assert len(descriptors) <= 5  # 0, 1, 2, the result pipe, and the listing itself
    assert run(daemon, "import os\nresult = os.getcwd()")["result"] != directory


def test_a_forked_copy_of_the_code_does_not_answer_twice(daemon: Daemon) -> None:
    answer = run(
        daemon, "import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\nresult = 'parent' if pid else 'child'"
    )
    assert answer["result"] == "parent"


CHART = {"type": "visualization", "vis_type": "bar", "config": {"x": "a"}, "data": [1], "title": "T"}


@pytest.mark.parametrize("value", [CHART, [CHART], [1, CHART]], ids=["alone", "listed", "among others"])
def test_visualizations_are_collected(daemon: Daemon, value: object) -> None:
    assert run(daemon, f"result = {value!r}")["visualizations"] == [CHART]


@pytest.mark.parametrize("without", ["vis_type", "data"])
def test_a_bad_visualization_is_an_error(daemon: Daemon, without: str) -> None:
    broken = {key: value for key, value in CHART.items() if key != without}
    answer = run(daemon, f"result = {broken!r}")
    assert without in answer["error"]
    assert answer["visualizations"] is None


def test_other_results_have_no_visualizations(daemon: Daemon) -> None:
    assert run(daemon, "result = [{'type': 'table'}]")["visualizations"] is None
