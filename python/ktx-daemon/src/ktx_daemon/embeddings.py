"""Embeddings of texts, by a provider that may be injected; by default a local sentence-transformers model.

The default provider is one per process, and its model is loaded once, on first use, whatever thread comes
first; a failed load is tried again by the next request. `sentence_transformers` and torch are imported there
and nowhere else.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, Protocol

from pydantic import Field

from ktx_daemon.errors import DaemonError
from ktx_daemon.models import Request, Response

__all__ = [
    "EmbeddingBulkRequest",
    "EmbeddingBulkResponse",
    "EmbeddingProvider",
    "EmbeddingRequest",
    "EmbeddingResponse",
    "SentenceTransformersEmbeddingProvider",
    "compute_embedding_bulk_response",
    "compute_embedding_response",
    "default_provider",
]

MODEL_DIRECTORY_VARIABLE = "KTX_EMBEDDINGS_MODEL_DIR"
_MAX_TEXTS = 100


class EmbeddingProvider(Protocol):
    """Anything that turns texts into vectors of `dimensions` finite floats, in order."""

    @property
    def name(self) -> str: ...
    @property
    def dimensions(self) -> int: ...
    @property
    def max_batch_size(self) -> int: ...
    def encode(self, texts: list[str], /) -> list[list[float]]: ...


class EmbeddingRequest(Request):
    text: Annotated[str, Field(min_length=1)]


class EmbeddingResponse(Response):
    embedding: list[float]


class EmbeddingBulkRequest(Request):
    texts: Annotated[list[str], Field(min_length=1, max_length=_MAX_TEXTS)]


class EmbeddingBulkResponse(Response):
    embeddings: list[list[float]]


def compute_embedding_response(
    request: EmbeddingRequest, provider: EmbeddingProvider | None = None
) -> EmbeddingResponse:
    """One vector. Errors as for `compute_embedding_bulk_response`."""
    return EmbeddingResponse(embedding=_encode([request.text], provider)[0])


def compute_embedding_bulk_response(
    request: EmbeddingBulkRequest, provider: EmbeddingProvider | None = None
) -> EmbeddingBulkResponse:
    """A vector per text, in order.

    Raises `DaemonError`: `invalid_texts` for too many or blank ones; `missing_extra`, `model_unavailable` if
    there is no model; `provider_mismatch` if the provider broke its promise.
    """
    return EmbeddingBulkResponse(embeddings=_encode(request.texts, provider))


class SentenceTransformersEmbeddingProvider:
    """A sentence-transformers model: `all-MiniLM-L6-v2`, 384 dimensions, unless told otherwise.

    `KTX_EMBEDDINGS_MODEL_DIR` names a directory to load it from, without any network. A ready `model` may be
    given, an object with the `encode` of `sentence_transformers.SentenceTransformer`.
    """

    name = "sentence-transformers"
    dimensions = 384
    max_batch_size = 100

    def __init__(self, model_name: str = "all-MiniLM-L6-v2", model: Any = None) -> None:
        self.model_name = model_name
        self._model = model
        self._loading = threading.Lock()

    def encode(self, texts: list[str]) -> list[list[float]]:
        model = self._loaded()
        if len(texts) == 1:
            vector: list[float] = model.encode(texts[0]).tolist()
            return [vector]
        vectors: list[list[float]] = model.encode(texts).tolist()
        return vectors

    def _loaded(self) -> Any:
        with self._loading:
            if self._model is None:
                self._model = self._load()
            return self._model

    def _load(self) -> Any:
        directory = os.environ.get(MODEL_DIRECTORY_VARIABLE)
        if directory:  # read by the libraries when they are imported
            os.environ["HF_HUB_OFFLINE"] = "1"
            os.environ["TRANSFORMERS_OFFLINE"] = "1"
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as exc:
            raise DaemonError(
                "missing_extra",
                "local embeddings need an optional part of the runtime: install ktx-daemon[local-embeddings]",
            ) from exc
        try:
            if directory:
                return SentenceTransformer(directory, local_files_only=True)
            return SentenceTransformer(self.model_name)
        except Exception as exc:
            where = f" in {MODEL_DIRECTORY_VARIABLE}" if directory else ""
            first = "install it again" if directory else "check the network"
            raise DaemonError(
                "model_unavailable",
                f"the embedding model{where} could not be loaded ({type(exc).__name__}); "
                f"{first}, or set {MODEL_DIRECTORY_VARIABLE} to a directory that holds it",
            ) from exc


@cache
def default_provider() -> SentenceTransformersEmbeddingProvider:
    """The provider of this process; making it loads nothing."""
    return SentenceTransformersEmbeddingProvider()


def _encode(texts: Sequence[str], provider: EmbeddingProvider | None) -> list[list[float]]:
    provider = default_provider() if provider is None else provider
    if len(texts) > provider.max_batch_size:
        raise DaemonError("invalid_texts", f"Maximum {provider.max_batch_size} texts at a time, got {len(texts)}")
    blank = [str(index) for index, text in enumerate(texts) if not text.strip()]
    if blank:
        raise DaemonError("invalid_texts", f"Empty texts found at indices: {', '.join(blank)}")
    return _checked(provider.encode(list(texts)), len(texts), provider)


def _checked(vectors: Any, count: int, provider: EmbeddingProvider) -> list[list[float]]:
    def mismatch(problem: str) -> DaemonError:
        return DaemonError("provider_mismatch", f"the embedding provider {provider.name!r} returned {problem}")

    if not isinstance(vectors, Sequence) or len(vectors) != count:
        got = len(vectors) if isinstance(vectors, Sequence) else type(vectors).__name__
        raise mismatch(f"{got} vectors for {count} texts")
    for index, vector in enumerate(vectors):
        if not isinstance(vector, Sequence) or len(vector) != provider.dimensions:
            got = len(vector) if isinstance(vector, Sequence) else type(vector).__name__
            raise mismatch(f"{got} dimensions instead of {provider.dimensions} at index {index}")
        if not all(isinstance(value, int | float) and math.isfinite(value) for value in vector):
            raise mismatch(f"a value that is not a finite number at index {index}")
    return [[float(value) for value in vector] for vector in vectors]
