"""Fetch the pinned embedding model into a directory: every file checked by size and sha256, or nothing said.

Run by the installer, never by the daemon: `python -m ktx_daemon.embedding_model <pin.json> <directory>`. The pin is
`{name, revision, files: [{path, sha256, bytes}]}`; the directory is the caller's to rename or to throw away.

A file that `KTX_EMBEDDINGS_MODEL_DIR` holds with the pinned bytes is copied, others come from
`<HF_ENDPOINT>/<name>/resolve/<revision>/<path>` (the hub's own address form; `huggingface_hub`, "file_download").
Proxies are those of the environment, certificates `SSL_CERT_FILE` or `SSL_CERT_DIR`. `--offline` only copies.

stdout: `fetched <bytes> of <bytes>` as it goes on. stderr on failure, exit 1: `error: <code>: <sentence>` with a code
of `model_mismatch model_not_found model_unreachable model_offline model_unwritable`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ktx_daemon.redaction import redact

if TYPE_CHECKING:
    import requests

__all__ = ["ModelError", "ModelFile", "Pin", "fetch", "main", "read_pin"]

_ENDPOINT = "https://huggingface.co"
_ATTEMPTS = 3
_CONNECT_SECONDS = 8.0
_READ_SECONDS = 30.0
_CHUNK = 1 << 18
_SAY_EVERY_SECONDS = 1.0
_POOL = re.compile(r"^<?[\w.]*HTTPS?Connection(?:Pool)?\([^)]*\)>?: ")
_TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504})


class ModelError(Exception):
    """The model cannot be had. `code` is stable."""

    def __init__(self, code: str, problem: str) -> None:
        super().__init__(code, problem)
        self.code = code
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.code}: {self.problem}"


class _Interrupted(Exception):
    """One attempt ended early; another may succeed."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """`path` is relative to the model, POSIX; `sha256` is 64 lower-case hex."""

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Pin:
    """One revision of one model, file by file."""

    name: str
    revision: str
    files: tuple[ModelFile, ...]


def read_pin(text: str) -> Pin:
    """The pin as the installer wrote it; it has been checked there."""
    value = json.loads(text)
    files = tuple(ModelFile(file["path"], file["sha256"], file["bytes"]) for file in value["files"])
    return Pin(value["name"], value["revision"], files)


def fetch(
    pin: Pin,
    directory: Path,
    *,
    endpoint: str = _ENDPOINT,
    at_hand: Path | None = None,
    offline: bool = False,
    say: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write every file of `pin` below `directory`, which need not exist. `say` gets bytes done and in all.

    Raises `ModelError`; what was written until then is left for the caller to remove.
    """
    import requests

    progress = _Progress(sum(file.bytes for file in pin.files), say)
    with requests.Session() as session:
        for file in pin.files:
            target = directory / file.path
            with _writing(target):
                target.parent.mkdir(parents=True, exist_ok=True)
            if at_hand is not None and _copied(file, at_hand, target, progress):
                continue
            if offline:
                raise ModelError("model_offline", f"{file.path} of {pin.name} is not on this machine")
            _downloaded(session, file, _address(endpoint, pin, file), target, progress)


def _address(endpoint: str, pin: Pin, file: ModelFile) -> str:
    return f"{endpoint.rstrip('/')}/{quote(pin.name)}/resolve/{quote(pin.revision)}/{quote(file.path)}"


def _copied(file: ModelFile, at_hand: Path, target: Path, progress: _Progress) -> bool:
    """Whether the pinned bytes were at hand; other bytes are passed over."""
    source, before = at_hand / file.path, progress.done
    try:
        if source.stat().st_size == file.bytes:
            _written(_content(source), file, str(source), target, progress)
            return True
    except (OSError, _Interrupted):
        pass
    except ModelError as fault:
        if fault.code != "model_mismatch":
            raise
    progress.done = before
    return False


def _content(source: Path) -> Iterator[bytes]:
    try:
        with source.open("rb") as stream:
            yield from iter(lambda: stream.read(_CHUNK), b"")
    except OSError as fault:
        raise _Interrupted(str(fault)) from fault


def _downloaded(session: requests.Session, file: ModelFile, address: str, target: Path, progress: _Progress) -> None:
    before = progress.done
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _written(_body(session, address), file, address, target, progress)
            return
        except _Interrupted as fault:
            progress.done = before
            if attempt == _ATTEMPTS:
                raise ModelError("model_unreachable", str(fault)) from fault.__cause__
            time.sleep(0.2 * attempt)


def _body(session: requests.Session, address: str) -> Iterator[bytes]:
    try:
        # Compressed on the way, a file could be larger than what arrives; the pin counts its own bytes.
        headers = {"Accept-Encoding": "identity"}
        timeout = (_CONNECT_SECONDS, _patience())
        with session.get(address, stream=True, timeout=timeout, headers=headers, verify=_certificates()) as answer:
            if answer.status_code in _TRY_AGAIN:
                raise _Interrupted(f"{address} answered {answer.status_code}")
            if answer.status_code != 200:
                raise ModelError("model_not_found", f"{address} answered {answer.status_code}")
            yield from answer.iter_content(_CHUNK)
    except OSError as fault:  # all of requests' errors are, and so is its word about a missing certificate file
        raise _Interrupted(f"{address}: {_reason(fault)}") from fault


def _reason(fault: BaseException) -> str:
    """The innermost words: requests wraps what urllib3 wraps, each with the address once more."""
    inner: BaseException = fault
    while inner.args and isinstance(inner.args[0], BaseException):
        inner = inner.args[0]
    cause = getattr(inner, "reason", None)
    text = str(cause if isinstance(cause, BaseException) else inner)
    return f"{type(fault).__name__}: {_POOL.sub('', text) or 'the connection ended'}"


def _patience() -> float:
    """Seconds without a byte: the hub's own variable."""
    try:
        return float(os.environ["HF_HUB_DOWNLOAD_TIMEOUT"])
    except (KeyError, ValueError):
        return _READ_SECONDS


def _written(chunks: Iterable[bytes], file: ModelFile, origin: str, target: Path, progress: _Progress) -> None:
    digest, size = hashlib.sha256(), 0
    with _writing(target), target.open("wb") as out:
        for chunk in chunks:
            size += len(chunk)
            if size > file.bytes:  # whatever it is, it is not the pinned file: the rest is not wanted
                raise ModelError("model_mismatch", f"{origin} is larger than the pinned {file.bytes} bytes")
            digest.update(chunk)
            out.write(chunk)
            progress.add(len(chunk))
        out.flush()
        os.fsync(out.fileno())
    found = digest.hexdigest()
    if found != file.sha256:
        raise ModelError("model_mismatch", f"{origin} has sha256 {found} where {file.sha256} is pinned")


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """A refused write as ours; reading has turned its own errors by then."""
    try:
        yield
    except OSError as fault:
        raise ModelError("model_unwritable", f"{target} cannot be written: {fault.strerror}") from fault


class _Progress:
    """Says how far it is, once a second at most and at the end."""

    def __init__(self, total: int, say: Callable[[int, int], None]) -> None:
        self.done = 0
        self._total, self._say, self._said = total, say, time.monotonic()

    def add(self, count: int) -> None:
        self.done += count
        now = time.monotonic()
        if now - self._said >= _SAY_EVERY_SECONDS or self.done == self._total:
            self._said = now
            self._say(self.done, self._total)


def _certificates() -> str | None:
    """uv's variables for private certificates; None leaves requests to its own. A session's setting would lose to them."""
    return os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR") or None


def main(argv: Sequence[str] | None = None) -> int:
    """Fetch as the command line and the environment say; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    offline = "--offline" in arguments
    pin, directory = (Path(argument) for argument in arguments if argument != "--offline")
    at_hand = os.environ.get("KTX_EMBEDDINGS_MODEL_DIR")
    try:
        fetch(
            read_pin(pin.read_text("utf-8")),
            directory,
            endpoint=os.environ.get("HF_ENDPOINT") or _ENDPOINT,
            at_hand=Path(at_hand) if at_hand else None,
            offline=offline,
            say=lambda done, total: print(f"fetched {done} of {total}", flush=True),
        )
    except ModelError as fault:
        print(f"error: {redact(str(fault))}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
