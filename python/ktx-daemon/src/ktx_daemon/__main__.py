"""`ktx-daemon`: one subcommand per capability, JSON on standard input and output, and `serve-http`.

Only the standard library is loaded until a subcommand runs. The functions `run_http_server`,
`introspect_database_response`, `compute_embedding_response`, `compute_embedding_bulk_response` and
`execute_code_response` forward lazily and are looked up here at call time, so replacing one takes effect.

Exit status: 0 success; 1 failure; 2 usage; 3 port in use; 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from ktx_daemon.capabilities import BY_COMMAND, CAPABILITIES

__all__ = [
    "build_parser",
    "compute_embedding_bulk_response",
    "compute_embedding_response",
    "execute_code_response",
    "introspect_database_response",
    "main",
    "run_http_server",
]

_LOG_LEVELS = ("critical", "error", "warning", "info", "debug", "trace")
_CODE_SWITCH = "--enable-code-execution"


def run_http_server(**options: Any) -> int | None:
    from ktx_daemon.server import run_http_server as run

    status: int | None = run(**options)
    return status


def introspect_database_response(request: Any) -> Any:
    from ktx_daemon.database_introspection import introspect_database_response as respond

    return respond(request)


def compute_embedding_response(request: Any) -> Any:
    from ktx_daemon.embeddings import compute_embedding_response as respond

    return respond(request)


def compute_embedding_bulk_response(request: Any) -> Any:
    from ktx_daemon.embeddings import compute_embedding_bulk_response as respond

    return respond(request)


def execute_code_response(request: Any) -> Any:
    from ktx_daemon.code_execution import execute_code_response as respond

    return respond(request)


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(prog="ktx-daemon", description="Semantic SQL for ktx, one shot or over HTTP.")
    parser.add_argument("--version", action=_Version, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="<subcommand>", required=True)
    for row in CAPABILITIES:
        command = commands.add_parser(row.command, help=row.summary, description=_DESCRIPTION.format(row.summary))
        command.add_argument("--error-format", choices=("text", "json"), default="text")
        if row.kind == "process":
            command.add_argument(_CODE_SWITCH, action="store_true", help="allow running the given code")
    _add_server_options(commands.add_parser("serve-http", help="Serve every capability over HTTP on this machine"))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; the return value is the process's exit status."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if arguments.command == "serve-http":
        return _serve(arguments)
    row = BY_COMMAND[arguments.command]
    if row.kind == "process" and not arguments.enable_code_execution:
        parser.error(f"{row.command} runs code from its input; allow that with {_CODE_SWITCH}")
    from ktx_daemon.oneshot import run_one_shot

    return run_one_shot(row, arguments.error_format, _forwarder(row.handler))


_DESCRIPTION = "{}. Reads one JSON object from standard input and writes one to standard output."


def _forwarder(handler: str) -> Callable[..., Any] | None:
    """This module's own attribute of that name, as it is now; None for handlers without one."""
    found: Callable[..., Any] | None = globals().get(handler)
    return found


def _serve(arguments: argparse.Namespace) -> int:
    options = {key: value for key, value in vars(arguments).items() if key != "command" and value is not None}
    return run_http_server(**options) or 0


def _add_server_options(parser: argparse.ArgumentParser) -> None:
    """Options given reach `run_http_server` as keywords; options left out do not, bar four with defaults."""
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=8765, help="port to bind, 0 for any (default: %(default)s)")
    parser.add_argument("--log-level", choices=_LOG_LEVELS, default="info", help="(default: %(default)s)")
    parser.add_argument(_CODE_SWITCH, action="store_true", help="serve /code/execute; needs a token")
    parser.add_argument("--token-file", metavar="PATH", help="file with the bearer token, readable by you alone")
    for name, what in (
        ("--allowed-host", "additional Host header to accept"),
        ("--allowed-origin", "Origin header to accept"),
        ("--allow-database-host", "host name or CIDR that introspection may connect to; all others are refused"),
    ):
        parser.add_argument(name, action="append", metavar="VALUE", help=f"{what}; repeatable")
    parser.add_argument("--ready-file", metavar="PATH", help="file to write once listening; removed on exit")
    parser.add_argument("--parent-pid", type=_positive, metavar="PID", help="exit when this process ends")
    parser.add_argument("--idle-timeout", type=_seconds, metavar="S", help="exit after S seconds without use; 0: never")
    parser.add_argument("--max-body-bytes", type=_positive, metavar="N", help="largest request body (default: 16 MiB)")
    parser.add_argument("--max-concurrency", type=_positive, metavar="N", help="requests at a time (default: 32)")


class _Version(argparse.Action):
    """Like argparse's own, but the version is only looked up when asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        from ktx_daemon import PACKAGE_NAME, VERSION

        sys.stdout.write(f"{PACKAGE_NAME} {VERSION}\n")
        parser.exit()


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{value} is not a port (0 to 65535)")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} must be at least 1")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds")
    return value


if __name__ == "__main__":
    sys.exit(main())
