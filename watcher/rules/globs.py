"""Patterns on paths, written as for .gitignore.

`*` and `?` stop at a slash, `**` does not, `[abc]` and `[!abc]` are one character. A pattern without a slash matches
the name of the file or of any folder above it; one with a slash is matched from the root; a trailing slash means
folders only. What stands below a matched folder is matched with it. Case is ignored, for SMB shares have none, and so
is the difference between composed and decomposed letters, for macOS writes the latter.
"""

from __future__ import annotations

import re
import unicodedata

from watcher.errors import SettingsError


class Globs:
    """Some patterns, compiled into one question."""

    __slots__ = ("_all", "_each")

    def __init__(self, patterns: tuple[bytes, ...]) -> None:
        """Compile at least one pattern. Raises SettingsError naming the one that is none."""
        self._each = [(pattern, _compile(pattern)) for pattern in patterns]
        self._all = re.compile("|".join(each.pattern for _, each in self._each), _FLAGS)

    def match(self, rel_path: bytes) -> bool:
        """Tell whether any pattern matches the path relative to the root; a folder is given with a trailing slash."""
        return self._all.match(_as_text(rel_path)) is not None

    def which(self, rel_path: bytes) -> bytes | None:
        """Give the first pattern that matches, as it was written."""
        text = _as_text(rel_path)
        return next((pattern for pattern, compiled in self._each if compiled.match(text)), None)


_FLAGS = re.IGNORECASE | re.DOTALL
_TOKEN = re.compile(
    r"(?P<folders>(?:(?<=/)|\A)\*\*/)|(?P<deep>\*\*)|(?P<star>\*)|(?P<one>\?)"
    r"|\[(?P<not>[!^]?)(?P<set>\]?[^\]/]*)\]|(?P<plain>.)",
    _FLAGS,
)
_MEANINGS = {"folders": "(?:.*/)?", "deep": ".*", "star": "[^/]*", "one": "[^/]"}


def _compile(pattern: bytes) -> re.Pattern[str]:
    glob = _as_text(pattern)
    body = "".join(_meaning(token) for token in _TOKEN.finditer(glob.strip("/")))
    start = "" if "/" in glob.rstrip("/") else "(?:.*/)?"
    end = "/" if glob.endswith("/") else r"(?:/|\Z)"
    try:
        if not body:
            raise SettingsError(f"the pattern {pattern!r} is empty")
        return re.compile(f"(?:{start}{body}{end})", _FLAGS)
    except re.error as error:
        raise SettingsError(f"the pattern {pattern!r} is not valid: {error.msg}") from error


def _meaning(token: re.Match[str]) -> str:
    if token.lastgroup in _MEANINGS:
        return _MEANINGS[token.lastgroup]
    if token.lastgroup == "set" and token["set"]:
        members = re.sub(r"([\\\[\]^&~|])", r"\\\1", token["set"])
        return f"(?!/)[{'^' if token['not'] else ''}{members}]"
    return re.escape(token[0])


def _as_text(path: bytes) -> str:
    text = path.decode("utf-8", "surrogateescape")
    return text if text.isascii() else unicodedata.normalize("NFC", text)
