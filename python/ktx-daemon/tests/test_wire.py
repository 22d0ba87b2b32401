"""JSON as both forms of the daemon read and write it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ktx_daemon.errors import DaemonError
from ktx_daemon.models import Response
from ktx_daemon.wire import encode, parse_object

REFUSED = [
    (b"", "invalid_json", "Expecting value: line 1 column 1 (char 0)"),
    (b"{", "invalid_json", "Expecting property name enclosed in double quotes"),
    (b'{"a": 1,}', "invalid_json", "Illegal trailing comma"),
    (b'{"a": NaN}', "invalid_json", "NaN is not JSON"),
    (b'{"a": -Infinity}', "invalid_json", "-Infinity is not JSON"),
    (b"\xef\xbb\xbf{}", "invalid_json", "Unexpected UTF-8 BOM"),
    (b'{"a": "\xff"}', "invalid_json", "'utf-8' codec can't decode byte 0xff"),
    (b'{"a": "\\ud800"}', "invalid_json", "surrogate"),
    (b'{"a": 1} x', "invalid_json", "Extra data"),
    ("{}".encode("utf-16"), "invalid_json", "codec can't decode"),
    (b"[]", "invalid_request", "must be a JSON object"),
    (b"null", "invalid_request", "must be a JSON object"),
    (b'"text"', "invalid_request", "must be a JSON object"),
    (b"[" * 100_000 + b"]" * 100_000, "limit_exceeded", "nested deeper than 64"),
    (b"[" * 100_000, "limit_exceeded", "nested deeper than 64"),
    (b'{"a":' * 65 + b"1" + b"}" * 65, "limit_exceeded", "nested deeper than 64"),
]


@pytest.mark.parametrize(("body", "code", "words"), REFUSED, ids=[repr(row[0][:20]) for row in REFUSED])
def test_anything_but_a_strict_object_is_refused(body: bytes, code: str, words: str) -> None:
    with pytest.raises(DaemonError) as refusal:
        parse_object(body)
    assert refusal.value.code == code
    assert words in str(refusal.value)
    assert refusal.value.status == 422


def test_depth_counts_the_root_and_ignores_strings() -> None:
    assert parse_object(b'{"a":' * 63 + b"{}" + b"}" * 63)
    assert parse_object(json.dumps({"a": '["' * 500 + "\\"}).encode())


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.text()
        | st.floats(allow_nan=False, allow_infinity=False, width=32),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=30,
    )
)
def test_reads_what_the_standard_encoder_writes(value: object) -> None:
    assert parse_object(json.dumps({"value": value}, ensure_ascii=False).encode("utf-8", "replace")) is not None


class Sample(Response):
    always: float | None
    sometimes: str | None = None


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (Sample(always=None), b'{"always":null}'),
        (Sample(always=float("nan")), b'{"always":null}'),
        (Sample(always=float("inf"), sometimes=None), b'{"always":null,"sometimes":null}'),
        (Sample(always=1.5, sometimes="é"), '{"always":1.5,"sometimes":"é"}'.encode()),
        ({"a": float("nan"), "b": [1, 2]}, b'{"a":null,"b":[1,2]}'),
    ],
)
def test_answers_are_compact_and_send_only_what_was_set(response: object, expected: bytes) -> None:
    assert encode(response) == expected
