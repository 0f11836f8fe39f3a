"""What a file is by its first bytes, where no walk of ours applies: other media, or no media at all."""

from __future__ import annotations

from typing import Final

_MEDIA: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"ID3", "mp3"),
    (0, b"fLaC", "flac"),
    (0, b"\x00\x00\x01\xb3", "mpegvideo"),
    (0, b"FORM", "aiff"),
    (0, b".RMF", "rm"),
    (0, b"#!AMR", "amr"),
    (0, b"\x06\x0e\x2b\x34\x02\x05\x01\x01", "mxf"),
    (0, b"\x0b\x77", "ac3"),
    (0, b"\x7f\xfe\x80\x01", "dts"),
    (0, b"caff", "caf"),
    (0, b"DKIF", "ivf"),
    (0, b"nut/multimedia container\0", "nut"),
    (0, b"\xb7\xd8\x00\x20\x37\x49\xda\x11", "wtv"),
    (0, b"riff\x2e\x91\xcf\x11", "w64"),
    (4, b"\xf8\x72\x6f\xba", "truehd"),
)
_NOT_MEDIA: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"PK\x05\x06", "a zip archive"),
    (0, b"Rar!\x1a\x07", "a rar archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"\x1f\x8b\x08", "a gzip archive"),
    (0, b"\xfd7zXZ\0", "an xz archive"),
    (0, b"MZ", "a Windows program"),
    (0, b"\x7fELF", "a program"),
    (0, b"%PDF-", "a PDF"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"SQLite format 3\0", "a database"),
    (0, b"d8:announce", "a torrent"),
)


def media(head: bytes) -> str:
    """Give the container's name, "" when the bytes are nobody's."""
    for offset, magic, name in _MEDIA:
        if head.startswith(magic, offset):
            return name
    if len(head) >= 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        # ADTS and MPEG audio share the sync word; the layer bits are zero in AAC only.
        return "mp3" if head[1] & 0x06 else "aac"
    return ""


def not_media(head: bytes) -> str:
    """Say what a file is that is no film ("a zip archive", "text"), "" when that cannot be said."""
    for offset, magic, name in _NOT_MEDIA:
        if head.startswith(magic, offset):
            return name
    return "text" if _is_text(head) else ""


def _is_text(head: bytes) -> bool:
    """Tell whether these bytes are text: UTF-8 or Latin-1, without control characters but blanks.

    A film's head has control characters within its first kilobyte; 4 KiB of it without one was not seen.
    """
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head[2:].replace(b"\0", b"")  # UTF-16
    return bool(head) and not any(byte < 0x20 and byte not in b"\t\n\r\f\x1b" for byte in head) and b"\x7f" not in head
