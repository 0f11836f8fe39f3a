"""Which of FFmpeg's complaints say nothing about the film, and which speak of a cut."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from watcher.media.ffmpeg import Progress


class Harmless(NamedTuple):
    """A line that intact films make FFmpeg print."""

    pattern: str
    reason: str
    seen: str
    """On which FFmpeg, with which file. The samples are those of androidx media, Chromium and OpenCV, by their names."""
    at_most: int | None = None
    """More of them are no longer harmless."""


BENIGN: Final = (
    Harmless(
        r"^\[null @",
        "the null muxer about time stamps: 240 lines for a plain film, were it not told to keep them",
        "5.1.9 and 8.0: box.mp4",
    ),
    Harmless(
        r"Decoder \(codec \S+\) not found|no decoder found",
        "a stream this FFmpeg cannot decode",
        "5.1.9, 8.0 and 9.0.2: sample_mhm1_bl_cicp1.mp4",
    ),
    Harmless(
        r"Could not find codec parameters",
        "a stream without a packet near the start, or without a decoder",
        "5.1.9 and 8.0: sample_with_vtt_subtitles.mkv, sample_mhm1_lcbl_configchange.mp4",
    ),
    Harmless(
        r"Error marking filters as finished|\[abuffer|Error (re)?initializing filters",
        "follows from a stream of which nothing could be decoded",
        "5.1.9 and 8.0: sample_dts_hd_across_pes.ts",
    ),
    Harmless(
        r"Task finished with error code|Terminating thread",
        "follows from another line",
        "8.0 and 9.0.2: sample_dts_hd_across_pes.ts",
    ),
    Harmless(
        r"Error parsing Opus packet header",
        "at the end of every Opus track in Matroska",
        "8.0: bear-opus.mka, bbb_1ch_48kHz_q10_opus.webm",
        at_most=2,
    ),
    Harmless(r"PPS changed between slices", "an HEVC stream that is not shown", "8.0: h265_with_metadata_track.mp4"),
    Harmless(
        r"exceeds specified max pixel count",
        "our own limit, about a picture that is not decoded for it",
        "5.1.9 and 8.0: a film with a PNG of 12000x6000 as its cover",
    ),
    Harmless(
        r"Malformed ITU-T T.35 metadata",
        "dav1d about Dolby Vision's metadata, which it does not read",
        "8.0: video_dovi_3840x2160_30fps_dav1_10.mp4",
    ),
    Harmless(
        r"^frame:\d+ +pts:",
        "no complaint: where the sound is too loud; how loud it is follows",
        "5.1.9 and 8.0: what `decoders.listening` asks for",
    ),
    Harmless(
        r"Incorrect BOM value|Error reading .*, skipped",
        "a broken ID3 tag or its picture, not the film",
        "5.1.9 and 8.0: an MP3 whose tag has a text without a byte order",
    ),
)
"""Lines that must not condemn a film; every one was seen on intact ones."""

_COVER: Final = re.compile(r"^\[(png|mjpeg|bmp|gif|webp) @")
"""The decoder of a cover picture: harmless unless the film's own picture is of that codec."""

_AFTER_SEEK: Final = re.compile(
    r"co located POCs unavailable|mmco: unref short failure|Could not find ref with POC|(top|left) block unavailable"
    r"|error while decoding MB|channel element .* duplicate|reference picture missing|Missing reference picture"
    r"|concealing \d+ DC|Error constructing the frame RPS|[Ii]llegal short term buffer|number of reference frames"
    r"|first frame is no keyframe|Context scratch buffers could not be allocated"
)
"""What open GOPs and intra refresh make of every seek, and MPEG-4 in AVI."""

_WHILE_SKIPPING: Final = re.compile(
    r"[Ii]llegal short term buffer|mmco: unref short failure|co located POCs unavailable"
)
"""What open GOPs make of a pass over key frames: the pictures that are missed were left out."""

_MID_STREAM_START: Final = re.compile(
    r"non-existing [SP]PS|[SP]PS id out of range|decode_slice_header error|no frame!|Invalid frame dimensions 0x0"
    r"|incomplete frame|First slice in a frame missing|Error (while decoding stream|submitting (a )?packet)"
)
"""A broadcast is recorded from the middle of a group of pictures: its decoders complain until the next one begins."""

_CUT: Final = re.compile(
    r"moov atom not found|partial file|File ended prematurely|Packet corrupt|corrupt input packet|Truncat|unexpected end"
    r"|End of file",
    re.IGNORECASE,
)
_OF_INTACT: Final = (
    (re.compile(r"frame CRC mismatch"), 1),  # the first or the last AC-3 frame, cut by whoever cut the film
    (re.compile(r"incomplete frame|Header missing"), 2),  # the first and the last frame of a broadcast's sound
    (re.compile(r"non-intra slice in an IDR NAL unit"), 2),  # an encoder's own way
    (re.compile(r"^\[ogg @ .*invalid pts -\d"), 1),  # an Ogg cut out of another begins before nought
    (
        re.compile(
            r"mmco: unref short failure|co located POCs unavailable|Could not find ref with POC|illegal short term buffer"
            r"|[Mm]issing reference picture|reference picture missing|number of reference frames|reorder buffer"
        ),
        2,  # a film cut out of another, at a picture that refers to what went before
    ),
)
"""What intact films make decoders say, and how often at most. All else is said of content that was changed: one damaged
place makes a decoder complain once or twice, and then go on."""
_CUT_FRAME: Final = re.compile(r"frame CRC mismatch|incomplete frame|Header missing")
_BEHIND: Final = re.compile(r"Error during demuxing|\[flv @ .*Packet mismatch")
"""What a demuxer says of bytes that stand behind the film."""
_LEVEL: Final = re.compile(r"(?:^|\] )\[(panic|fatal|error|warning|info|verbose|debug|trace)\] ")
_CALM: Final = frozenset({"warning", "info", "verbose", "debug", "trace"})
_BEGUN, _FINISHED = "Output frame with POC", "Decoded frame with POC"
"""What HEVC's decoder says of each picture when it speaks of everything (`decoders.counts_pictures`)."""
_CORRUPT_FRAME: Final = "corrupt decoded frame"
"""The one warning that counts: H.264's decoder conceals what was changed, and only marks the picture. Films cut out of
others, also between open groups of pictures, were not seen to cause it."""
_UNFINISHED: Final = "[hevc] "
"""How our own line about them begins."""
_TOO_LOUD: Final = re.compile(r"lavfi\.astats\.Overall\.Peak_level=(\S+)")
"""What `decoders.listening` makes FFmpeg print."""
_FOLLOWS: Final = re.compile(
    rf"decode_slice_header error|no frame!|Error (while decoding stream|submitting (a )?packet)|{_CORRUPT_FRAME}"
)
"""What the caller of a decoder adds to the decoder's own complaint."""


class Listener:
    """Tells FFmpeg's harmless lines from the others, for one run: hand `ignores` and `moved` to `ffmpeg.run`."""

    def __init__(
        self, codecs: frozenset[str], container: str, *, after_seek: bool = False, skips: bool = False
    ) -> None:
        self._codecs = codecs
        self._broadcast = container in {"mpegts", "mpegps"}
        self._after_seek = after_seek
        self._skips = skips
        self._seen = [0] * len(BENIGN)
        self._patterns = [re.compile(entry.pattern) for entry in BENIGN]
        self._position_sec = 0.0
        self._level = ""
        self._unfinished = 0

    @property
    def unfinished(self) -> str:
        """A line about pictures of HEVC that were shown and never decoded to their last block; "" when there are none.

        FFmpeg shows them without a word. Every intact film had as many of the one as of the other, or one more decoded.
        """
        count = max(0, self._unfinished)
        return f"{_UNFINISHED}{count:,} pictures that it showed were not decoded to their end" if count else ""

    def moved(self, progress: Progress) -> None:
        """Take note of the position."""
        self._position_sec = progress.out_time_sec or self._position_sec

    def ignores(self, line: str) -> bool:
        """Tell whether a line says nothing about the film. A line without a level goes on with the one before it."""
        if level := _LEVEL.search(line):
            self._level = level[1]
        elif _TOO_LOUD.match(line):
            return False
        if self._level in _CALM:
            self._unfinished += (_BEGUN in line) - (_FINISHED in line)
            return _CORRUPT_FRAME not in line
        cover = _COVER.match(line)
        if cover and cover[1] not in self._codecs:
            return True
        if (
            (self._after_seek and _AFTER_SEEK.search(line))
            or (self._skips and _WHILE_SKIPPING.search(line))
            or (self._broadcast and self._position_sec < 1 and _MID_STREAM_START.search(line))
        ):
            return True
        for number, pattern in enumerate(self._patterns):
            if pattern.search(line):
                self._seen[number] += 1
                at_most = BENIGN[number].at_most
                return at_most is None or self._seen[number] <= at_most
        return False


def in_words(line: str) -> str:
    """Give a line as a person reads it."""
    loud = _TOO_LOUD.match(line)
    return f"sound at {loud[1]} dB above full scale, which nobody records" if loud else line


def speaks_of_the_middle(lines: tuple[str, ...]) -> bool:
    """Tell whether a line is of the whole film, and cannot be its first or last picture's alone."""
    return any(line.startswith(_UNFINISHED) for line in lines)


def is_of_a_cut_frame(lines: tuple[str, ...]) -> bool:
    """Tell whether a frame of sound is not whole, as a film's first or last one may be where somebody cut it."""
    return any(_CUT_FRAME.search(line) for line in lines)


def is_of_a_start(line: str) -> bool:
    """Tell whether a line is what decoders say until a first whole group of pictures begins."""
    return bool(_MID_STREAM_START.search(line) or _AFTER_SEEK.search(line) or _CORRUPT_FRAME in line)


def is_an_echo(line: str, at_start: tuple[str, ...]) -> bool:
    """Tell whether a line is what references that were missing at a film's start make HEVC's decoder say again.

    FFmpeg 5 keeps what it made up for them, and stumbles over it when their number comes round, seconds later.
    """
    return "Duplicate POC in a sequence" in line and any("Could not find ref with POC" in other for other in at_start)


def speaks_of_a_cut(lines: tuple[str, ...]) -> bool:
    """Tell whether FFmpeg's words are those for a film that ends too early."""
    return any(_CUT.search(line) for line in lines)


def own(lines: tuple[str, ...]) -> tuple[str, ...]:
    """Give the lines that do not merely follow from another; all of them where nothing else was said.

    Which ones follow, and how many, differs from run to run where several threads decode.
    """
    return tuple(line for line in lines if not _FOLLOWS.search(line)) or lines


def defects(lines: tuple[str, ...]) -> int:
    """Count what the lines complain of: FFmpeg 5 says one thing in two lines where FFmpeg 8 says it in one."""
    return max(sum(not _FOLLOWS.search(line) for line in lines), min(1, len(lines)))


def are_of_intact_films(lines: tuple[str, ...], *, more_behind: bool = False) -> bool:
    """Tell whether intact films, too, cause these lines, and so few of them.

    `more_behind`: the film's headers end before the file does, and what stands there may disturb the demuxer.
    """
    if more_behind:
        lines = tuple(line for line in lines if not _BEHIND.search(line))
        if not lines:
            return True
    own = [line for line in lines if not _FOLLOWS.search(line)]
    known = [sum(bool(pattern.search(line)) for line in own) for pattern, _ in _OF_INTACT]
    few = all(count <= at_most for count, (_, at_most) in zip(known, _OF_INTACT, strict=True))
    return bool(own) and few and sum(known) == len(own)
