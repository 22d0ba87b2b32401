"""Text that leaves the process."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ktx_daemon.redaction import clean, redact, sayable, secrets_of_url

CASES = [
    ("plain text", "plain text"),
    ("two\nlines\r\nand\ttabs", "two lines and tabs"),
    ("\x1b[4mselect\x1b[0m", "select"),
    ("\x1b]0;title\x07x", "x"),
    ("at postgres://me:secret@h/db now", "at postgres://***@h/db now"),
    ("mysql+x://u@h", "mysql+x://***@h"),
    ("password=secret host=h", "password=*** host=h"),
    ("PASSWORD = 'two words' x", "PASSWORD = *** x"),
    ("host=h password=a&x=1", "host=h password=***&x=1"),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_text_is_one_clean_line_without_credentials(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u:s3cret@h/d",
        "postgres://u:s3%63ret@h/d",
        "postgresql://h/d?user=u&password=s3cret",
        "postgres://u:s3cret@h:not-a-port/d",
        "postgres://[broken/d?password=s3cret",
        "u:s3cret@h",
    ],
)
def test_the_password_of_a_url_is_a_secret_however_it_is_written(url: str) -> None:
    secrets = secrets_of_url(url)
    assert "s3cret" in secrets or "s3%63ret" in secrets
    assert redact(f"cannot connect to {url}", secrets) == "cannot connect to ***"
    assert "s3cret" not in redact("driver says s3cret and s3%63ret", secrets)


@given(st.text())
def test_no_control_character_survives(text: str) -> None:
    cleaned = clean(text)
    assert cleaned == clean(cleaned)
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in cleaned)


@given(st.text(alphabet=st.characters(codec="ascii", exclude_characters="/@ "), min_size=1), st.text())
def test_a_secret_never_survives(secret: str, around: str) -> None:
    shown = redact(f"{around}{secret}{around}", [secret])
    assert secret not in shown.replace("***", "") or not clean(secret)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"repair": {"filters": ["a.b  >\u00a01"], "limit": 5, "ok": [True, None, 1.5]}}, True),
        ({"repair": {"filters": ["a.b = 'line\nbreak'"]}}, False),
        (["\x1b[31mred"], False),
        (("password=hunter2",), False),
        ({"postgres://u:p@h/d": 1}, False),
        ("the s3cret", False),
        ({"set": {1}}, False),
    ],
)
def test_data_is_sayable_only_as_it_is(value: object, expected: bool) -> None:
    assert sayable(value, ["s3cret"]) is expected
