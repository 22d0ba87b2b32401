"""The Python side of ktx: one-shot commands and a local HTTP server over the semantic layer.

Importing this package loads the standard library only, so that `--help` and `--version` stay fast and
work in a broken environment. Everything else is loaded by the capability that needs it.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["PACKAGE_NAME", "RUNTIME_DISTRIBUTION_NAME", "VERSION", "resolve_package_version"]

PACKAGE_NAME = "ktx-daemon"
RUNTIME_DISTRIBUTION_NAME = "kaelio-ktx"
_LOCAL_VERSION = "0.0.0+local"

VERSION: str  # resolved on first use: importlib.metadata costs as much as the interpreter's own start


def _installed_version(name: str) -> str:
    from importlib.metadata import version

    return version(name)


def resolve_package_version(version_loader: Callable[[str], str] = _installed_version) -> str:
    """Version of the distribution that carries this package.

    The bundled wheel is asked first, then the package on its own; a source tree without metadata is
    `0.0.0+local`. Only `PackageNotFoundError` moves on: a broken installation stays visible.
    """
    from importlib.metadata import PackageNotFoundError

    for name in (RUNTIME_DISTRIBUTION_NAME, PACKAGE_NAME):
        try:
            return version_loader(name)
        except PackageNotFoundError:
            continue
    return _LOCAL_VERSION


def __getattr__(name: str) -> str:
    if name != "VERSION":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    version = globals()["VERSION"] = resolve_package_version()
    return version
