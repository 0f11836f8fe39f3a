r"""Which names are films, which are unfinished, which are junk, and how any name is written for people and for JSON.

Names and paths are bytes: a file system takes every byte but `/` and NUL. A path is relative to its root, without a
leading slash. The rules, in the order in which `why_not` asks them:

1. nothing inside a junk or hidden folder is a film (`skip_folder`);
2. nor is a name that begins with a dot (rsync's and our own temporary files, AppleDouble `._*`);
3. the name of an unfinished download is not (`.part`, `.!qB`, `name.temp.mkv`, ...): its final name will be;
4. the extension must be one of the wanted ones, whatever its case;
5. no exclude pattern may match, and if there are include patterns, one of them must.

How patterns are written stands in `globs`. This module knows nothing about the file behind a name; `min_size_bytes` is asked when a file has settled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product

from watcher.rules.globs import Globs

DEFAULT_EXTENSIONS = frozenset(
    b".3g2 .3gp .asf .avi .divx .dv .f4v .flv .m2t .m2ts .m2v .m4v .mk3d .mkv .mov .mp4 .mpe .mpeg .mpg .mpv .mts .mxf"
    b" .ogm .ogv .qt .rm .rmvb .ts .vob .webm .wmv .wtv".split()
)
"""Containers of films, by their usual extensions, in lower case with the dot."""

UNFINISHED_SUFFIXES = (
    *(b".part", b".partial", b".incomplete", b".download", b".filepart", b".tmp", b".temp", b"~"),
    *(b".crdownload", b".opdownload", b".unfinished", b".ytdl"),  # browsers, yt-dlp
    *(
        b".!qb",
        b".!ut",
        b".!bt",
        b".bc!",
        b".jc!",
        b".aria2",
        b".fdmdownload",
        b".xltd",
        b".td",
    ),  # torrent and managers
)
"""Endings, in lower case, that programs give to a file until it is whole."""

_UNFINISHED_INNER = (b".temp", b".part", b".incomplete", b".partial")
"""The same before the extension: yt-dlp merges into `name.temp.mkv`, others write `name.part.mp4`."""

_JUNK_FOLDERS = frozenset(
    {
        *(
            b"@eadir",
            b"#recycle",
            b"@recycle",
            b"@recently-snapshot",
            b"#snapshot",
            b"@tmp",
            b"@sharebin",
        ),  # Synology, QNAP
        *(b"lost+found", b"$recycle.bin", b"recycler", b"system volume information", b"network trash folder"),
        *(b"temporary items", b"__macosx", b"__admin__"),
    }
)
_JUNK_FOLDER_STARTS = (b".", b"_unpack_", b"_failed_")
"""Hidden folders (`.Trash-1000`, `.stfolder`, `.zfs`, ...), and those in which SABnzbd and NZBGet unpack."""


OURS = b".watcher-"
"""How our own files beside films begin; then come the attempt and what it is."""


@dataclass(frozen=True, slots=True)
class NameRules:
    """Which names under a root are films."""

    extensions: frozenset[bytes] = DEFAULT_EXTENSIONS
    """Lower case, with the dot."""
    min_size_bytes: int = 0
    """A settled file smaller than this is no film (samples, trailers); see `too_small`."""
    include: tuple[bytes, ...] = ()
    """Glob patterns on the path relative to the root, one of which must match; none: all names match."""
    exclude: tuple[bytes, ...] = ()
    """Glob patterns none of which may match."""
    included: Globs | None = field(init=False, repr=False, compare=False)
    """`include`, compiled; None when there is none."""
    excluded: Globs | None = field(init=False, repr=False, compare=False)
    """`exclude`, compiled; None when there is none."""

    def __post_init__(self) -> None:
        """Compile the patterns. Raises SettingsError when one cannot be."""
        object.__setattr__(self, "included", Globs(self.include) if self.include else None)
        object.__setattr__(self, "excluded", Globs(self.exclude) if self.exclude else None)


def is_film(rel_path: bytes, rules: NameRules) -> bool:
    """Tell whether the path has the name of a film; the same answer as `why_not(...) is None`, in half a microsecond."""
    folder, _, name = rel_path.rpartition(b"/")
    return (
        is_film_name(name, rules.extensions)
        and not (folder and _inside_junk(folder))
        and (rules.excluded is None or not rules.excluded.match(rel_path))
        and (rules.included is None or rules.included.match(rel_path))
    )


def is_film_name(name: bytes, extensions: frozenset[bytes]) -> bool:
    """Tell the same of a bare file name, leaving out folders and patterns: what a kernel event or a listing is asked first."""
    if name[-4:] in extensions:  # nearly every film; the rest of this function costs three times as much
        return name[0] != _DOT and (name[-6:-4] not in _UNFINISHED_ENDS or not _unfinished_stem(name[:-4]))
    dot = name.rfind(b".")
    return dot > 0 and name[0] != _DOT and name[dot:].lower() in extensions and not _unfinished_stem(name[:dot])


def skip_folder(name: bytes) -> bool:
    """Tell whether a folder of this name is junk or hidden: not watched, not scanned, nothing in it is a film."""
    lower = name.lower()
    return lower.startswith(_JUNK_FOLDER_STARTS) or lower in _JUNK_FOLDERS


def folder_excluded(rel_folder: bytes, rules: NameRules) -> bool:
    """Tell whether an exclude pattern matches this folder, and so everything below it."""
    return rules.excluded is not None and rules.excluded.match(rel_folder + b"/")


def too_small(size_bytes: int, rules: NameRules) -> bool:
    """Tell whether a settled file is below the wanted size; asked earlier it would refuse every film that is being copied."""
    return size_bytes < rules.min_size_bytes


def why_not(rel_path: bytes, rules: NameRules) -> str | None:
    """Say in words why the path is not taken for a film; None when it is."""
    folder, _, name = rel_path.rpartition(b"/")
    return _why_not_folder(folder) or _why_not_name(name, rules) or _why_not_pattern(rel_path, rules)


def is_unfinished(name: bytes) -> bool:
    """Tell whether a name is one that programs give to a file until it is whole."""
    return _unfinished(name) is not None


def unfinished_sibling(name: bytes) -> bytes:
    """Name the file whose presence beside `name` means that `name` is unfinished: aria2 keeps its state there until the end."""
    return name + b".aria2"


def temporary(attempt_id: str) -> bytes:
    """Name the file in which an attempt makes its result: hidden, short, and never taken for a film."""
    return OURS + b"%s.tmp" % attempt_id.encode()


def beside(temporary: bytes, kind: bytes) -> bytes:
    """Give the path of another file of the attempt whose result is made at `temporary`: its "track", ..."""
    return temporary.removesuffix(b"tmp") + kind


def attempt_of(name: bytes) -> str | None:
    """Give the attempt that one of its files has its name from; None for any other file."""
    found = _TEMPORARY.fullmatch(name)
    return found[1].decode() if found else None


def readable(path: bytes) -> str:
    r"""Write a path for people and log lines: one line, no control or direction-changing character.

    Undecodable bytes stand as \xNN, control characters as \n, \x1b, \u202e, ...; not meant to be read back.
    """
    text = path.decode("utf-8", "backslashreplace")
    return text if text.isprintable() else _UNSAFE.sub(lambda found: _escape(found[0]), text)


def to_json(path: bytes) -> tuple[str, bool]:
    r"""Write a path as text that `from_json` reads back exactly, and say whether it had to be escaped.

    Valid UTF-8 stands as it is, unmarked. In any other, each stray byte becomes \xNN and each backslash is doubled.
    """
    try:
        return path.decode("utf-8"), False
    except UnicodeDecodeError:
        return path.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace"), True


def from_json(text: str, escaped: bool) -> bytes:
    """Read back what `to_json` wrote. Raises ValueError when the text cannot be a path so written."""
    raw = text.encode("utf-8")
    return _ESCAPE.sub(_unescape, raw) if escaped else raw


_DOT = ord(".")
_UNFINISHED_ENDS = frozenset(
    bytes(pair)
    for inner in _UNFINISHED_INNER
    for pair in product((inner[-2], inner.upper()[-2]), (inner[-1], inner.upper()[-1]))
)
"""The last two bytes of an unfinished stem in every case: what tells most stems apart at once."""
_ESCAPE = re.compile(rb"\\(\\|x[0-9a-f]{2}|.?)", re.DOTALL)
_TEMPORARY = re.compile(re.escape(OURS) + rb"([0-9a-f]{12})\..+", re.DOTALL)
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def _escape(char: str) -> str:
    return _SHORT.get(char) or (f"\\x{ord(char):02x}" if ord(char) < 0x100 else f"\\u{ord(char):04x}")


def _unescape(found: re.Match[bytes]) -> bytes:
    body = found[1]
    if body == b"\\":
        return body
    if len(body) != 3:
        msg = f"{found[0]!r} is no escape of a path"
        raise ValueError(msg)
    return bytes((int(body[1:], 16),))


def _why_not_folder(folder: bytes) -> str | None:
    for part in folder.split(b"/"):
        if part and skip_folder(part):
            return f"it lies in the folder {readable(part)}, which is not for films"
    return None


def _why_not_name(name: bytes, rules: NameRules) -> str | None:
    if name.startswith(b"."):
        return "its name begins with a dot: hidden or temporary"
    if (mark := _unfinished(name)) is not None:
        return f"its name has {readable(mark)}: an unfinished download"
    dot = name.rfind(b".")
    if dot < 0:
        return "its name has no extension"
    extension = name[dot:].lower()
    return None if extension in rules.extensions else f"{readable(extension)} is not an extension of films"


def _why_not_pattern(rel_path: bytes, rules: NameRules) -> str | None:
    if rules.excluded is not None and (pattern := rules.excluded.which(rel_path)) is not None:
        return f"the exclude pattern {readable(pattern)} matches"
    if rules.included is not None and not rules.included.match(rel_path):
        return "no include pattern matches"
    return None


def _unfinished(name: bytes) -> bytes | None:
    lower = name.lower()
    for suffix in UNFINISHED_SUFFIXES:
        if lower.endswith(suffix):
            return suffix
    stem, dot, _ = lower.rpartition(b".")
    return next((inner for inner in _UNFINISHED_INNER if dot and stem.endswith(inner)), None)


def _unfinished_stem(stem: bytes) -> bool:
    return stem.lower().endswith(_UNFINISHED_INNER)


@lru_cache(maxsize=4096)  # a scan asks for the same folder once a file
def _inside_junk(folder: bytes) -> bool:
    return any(skip_folder(part) for part in folder.split(b"/") if part)
