"""Fetching the pinned model, from a server that misbehaves; the installer's own tests cover the rest of its faults."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ktx_daemon import embedding_model
from ktx_daemon.embedding_model import main

CONTENT = b"weights " * 1000
PIN = {
    "name": "owner/small",
    "revision": "c" * 40,
    "files": [{"path": "1_Pooling/w.bin", "sha256": hashlib.sha256(CONTENT).hexdigest(), "bytes": len(CONTENT)}],
}


class Hub(ThreadingHTTPServer):
    """Answers with the statuses in `script`, one each, then with the file."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: list[int] = []
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        hub = self.server
        assert isinstance(hub, Hub)
        hub.asked.append(self.path)
        status = hub.script.pop(0) if hub.script else 200
        body = CONTENT if status == 200 else b"sorry"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("HTTP_PROXY", "http_proxy", "KTX_EMBEDDINGS_MODEL_DIR", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    with Hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", f"http://{server.address}/")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def run(tmp_path: Path, *options: str) -> int:
    (tmp_path / "pin.json").write_text(json.dumps(PIN))
    return main([str(tmp_path / "pin.json"), str(tmp_path / "model"), *options])


def test_files_come_by_their_address_and_it_says_how_far(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.script = [503, 429]
    assert run(tmp_path) == 0
    assert (tmp_path / "model" / "1_Pooling" / "w.bin").read_bytes() == CONTENT
    assert hub.asked == [f"/owner/small/resolve/{'c' * 40}/1_Pooling/w.bin"] * 3
    assert capsys.readouterr() == (f"fetched {len(CONTENT)} of {len(CONTENT)}\n", "")


@pytest.mark.parametrize(
    ("script", "asked", "says"),
    [
        ([503, 503, 503], 3, "error: model_unreachable: http://***@{hub}/owner/small/resolve/"),
        ([401], 1, "error: model_not_found: http://***@{hub}/owner/small/resolve/"),
    ],
)
def test_a_refusal_is_one_line_without_credentials(
    hub: Hub,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    script: list[int],
    asked: int,
    says: str,
) -> None:
    hub.script = list(script)
    monkeypatch.setenv("HF_ENDPOINT", f"http://me:s3cret@{hub.address}")
    assert run(tmp_path) == 1
    out, err = capsys.readouterr()
    assert (out, len(hub.asked), err.count("\n")) == ("", asked, 1)
    assert err.startswith(says.format(hub=hub.address))
    assert err.endswith(f" answered {script[-1]}\n")


def test_a_certificate_file_that_is_not_there_is_named(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"https://{hub.address}")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere.pem"))
    assert run(tmp_path) == 1
    assert "nowhere.pem" in capsys.readouterr().err


def test_what_cannot_be_written_is_no_fault_of_the_hub(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model").write_text("a file where the folder belongs")
    assert run(tmp_path) == 1
    assert capsys.readouterr().err.startswith("error: model_unwritable: ")
    assert hub.asked == []


def test_the_default_model_of_the_daemon_is_the_one_that_is_pinned() -> None:
    from ktx_daemon.embeddings import SentenceTransformersEmbeddingProvider

    repository = next(parent for parent in Path(__file__).parents if (parent / "tasks").is_dir())
    pin = embedding_model.read_pin((repository / "tasks" / "embedding-model.json").read_text("utf-8"))
    assert pin.name == f"sentence-transformers/{SentenceTransformersEmbeddingProvider().model_name}"
    assert {"modules.json", "config.json", "model.safetensors", "tokenizer.json"} <= {file.path for file in pin.files}
