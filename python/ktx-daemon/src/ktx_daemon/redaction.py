"""Text that may leave the process: no terminal control, no credential. Standard library only.

Used on error messages, warnings and log lines alike. Secrets known to a request are passed in; URL
credentials and `password=` are recognised by shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote, unquote_plus, urlsplit

__all__ = ["clean", "redact", "sayable", "secrets_of_url"]

_MASK = "***"
# ECMA-48: CSI sequences, OSC strings and two-character escapes, then whatever control characters remain.
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]|\x9b[0-?]*[ -/]*[@-~]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_URL_CREDENTIALS = re.compile(r"\b([A-Za-z][A-Za-z0-9+.\-]{0,30})://[^\s/@]*@", re.ASCII)
_PASSWORD = re.compile(r"(password|passwd|pwd)(\s*[=:]\s*)('[^']*'|\"[^\"]*\"|[^\s&;,'\"]+)", re.IGNORECASE)
_SHORTEST_SECRET = 1


def clean(text: str) -> str:
    """`text` as one line without ANSI sequences or control characters."""
    return " ".join(_CONTROL.sub(" ", _ANSI.sub("", text)).split())


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`clean` text in which every secret, URL credential and password assignment is masked."""
    found = sorted({secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}, key=len, reverse=True)
    for secret in found:
        text = text.replace(secret, _MASK)
    text = clean(text)
    for secret in found:  # whitespace inside a secret changes while cleaning
        text = text.replace(clean(secret) or secret, _MASK)
    return _PASSWORD.sub(rf"\1\2{_MASK}", _URL_CREDENTIALS.sub(rf"\1://{_MASK}@", text))


def sayable(value: object, secrets: Iterable[str] = ()) -> bool:
    """Whether JSON data may leave the process as it is: no text in it that `redact` would alter, spaces aside."""
    if isinstance(value, str):
        return not _CONTROL.search(value) and redact(value, secrets) == " ".join(value.split())
    if isinstance(value, Mapping):
        return all(sayable(key, secrets) and sayable(member, secrets) for key, member in value.items())
    if isinstance(value, list | tuple):
        return all(sayable(member, secrets) for member in value)
    return value is None or isinstance(value, bool | int | float)


def secrets_of_url(url: str) -> tuple[str, ...]:
    """The URL itself and its password, as written and decoded; works on malformed URLs too."""
    secrets = {url, url.strip()}
    try:
        password = urlsplit(url).password
    except ValueError:
        password = None
    if password is None and "@" in url:
        credentials = url.rpartition("@")[0].rpartition("//")[2]
        password = credentials.partition(":")[2] or None
    if password:
        secrets |= {password, unquote(password), unquote_plus(password)}
    for query in re.findall(r"(?:password|passwd|pwd)=([^&\s]+)", url, re.IGNORECASE):
        secrets |= {query, unquote(query)}
    return tuple(secret for secret in secrets if secret)
