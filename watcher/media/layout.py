"""What a film with one more sound track will hold, in which container, and where it goes.

Pure: this module starts nothing and touches no disk. What a plan heeds, and why:

    every stream has its place, in the film's order   so that no player's "track 2" becomes another one
    the new track follows the last sound track        the same; or goes first where that is wanted
    Matroska attachments come last                    FFmpeg writes nothing after them
    Matroska covers are taken out and attached again  copied, they would become a picture track of one frame
    MP4's chapter track is left to the muxer          mapped, there would be two
    MP4's time codes are made anew by the muxer       it cannot copy such a track, as MOV's can, but writes the same one
    WebM gets an Opus track                           it may not hold AAC
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from watcher.errors import ConversionFailed
from watcher.media import encoder
from watcher.rules import audio, languages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from watcher.media.downmix import StereoSettings
    from watcher.media.probe import Probe
    from watcher.rules.audio import Decision, Stream
    from watcher.rules.languages import Language

Muxer = Literal["matroska", "webm", "mp4", "mov"]

NAME_LIMIT_BYTES: Final = 255
"""Of Linux file systems."""
_MATROSKA_SUBTITLES: Final = frozenset(
    {
        "subrip",
        "ass",
        "ssa",
        "webvtt",
        "text",
        "hdmv_pgs_subtitle",
        "hdmv_text_subtitle",
        "dvd_subtitle",
        "dvb_subtitle",
    }
)
_WEBM: Final = frozenset({"vp8", "vp9", "av1", "opus", "vorbis", "webvtt"})
"""All that FFmpeg's WebM muxer takes, as the WebM guidelines have it."""
_ITUNES_TAGS: Final = re.compile(
    r"title|artist|album_artist|composer|album|date|encoder|comment|genre|copyright|grouping|lyrics|description|synopsis"
    r"|show|episode_id|network|keywords|episode_sort|season_number|media_type|hd_video|gapless_playback|compilation"
    r"|track|disc|tmpo|rating|creation_time|major_brand|minor_version|compatible_brands|timecode",
    re.IGNORECASE,
)
"""What FFmpeg's MP4 muxer can write in iTunes' way, and what it writes elsewhere."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the result will hold, and where it goes. Numbers of streams are the film's own unless said otherwise."""

    target: bytes
    """Where the result goes in the end: the film's own name, that of its new container, or a sidecar's beside it."""
    muxer: Muxer
    made_from: int
    title: str
    """Of the new track."""
    language: str
    """Of the new track, in the code that the container stores."""
    mapped: tuple[int, ...]
    """Copied streams in the order of the result, without the new track and covers."""
    made_at: int
    """The new track's place in the result."""
    codec: str = "aac"
    """The new track's, by ffprobe's name."""
    anew: tuple[int, ...] = ()
    """Time codes that the muxer writes once more by itself; they follow the mapped streams."""
    covers: tuple[int, ...] = ()
    """Pictures that follow all else: copied, but for Matroska taken out and attached again."""
    left_out: tuple[int, ...] = ()
    """Streams that the result lacks: MP4's chapter track, which the muxer writes anew; and what a sidecar does without."""
    lost: tuple[int, ...] = ()
    """Streams that FFmpeg cannot copy, and that the owner allowed to be lost."""
    lost_tags: tuple[str, ...] = ()
    """The same for tags of the film."""
    sidecar: bool = False
    """The film stays as it is; where it does not and `target` is another name, the result takes its place there."""
    foreign: bool = False
    """The container is another than the film's: packets may be packed in another form."""

    def copied(self) -> tuple[int, ...]:
        """Give the streams that are mapped, in order, the new track left out."""
        return self.mapped if self.attaches_covers else (*self.mapped, *self.covers)

    @property
    def attaches_covers(self) -> bool:
        """Whether covers are files attached to the result, and not streams of it."""
        return self.muxer == "matroska"

    def output(self, number: int) -> int:
        """Give the number that ffmpeg's options know a copied or attached stream by."""
        at = (*self.mapped, *self.covers).index(number)
        return at if at < self.made_at else at + 1

    def places(self) -> tuple[tuple[int, int], ...]:
        """Give (number in the film, place in the result) of every kept stream; see `in_result`."""
        order = (*self.mapped, *self.anew, *self.covers)
        return tuple((old, at if at < self.made_at else at + 1) for at, old in enumerate(order))

    def in_result(self, result: Probe) -> list[Stream]:
        """Give the streams of a result by their places: all but the chapter track, which MP4's muxer adds by itself."""
        return [s for s in result.streams if s.kind != "data" or s.raw.get("codec_tag_string") != "text"]


_ISO: Final = frozenset({"mp4", "mov"})


def plan(probe: Probe, decision: Decision, film: bytes, settings: StereoSettings) -> Plan:
    """Decide where the new track goes, and what goes with it.

    With `output` "add", Matroska, WebM, MP4, M4V and MOV take it themselves. Every other container (AVI, WMV, FLV, TS,
    MPEG, ...) becomes Matroska where `remux` is set, else stays, and gets a sidecar beside it: `NAME.stereo.mkv` with the
    picture, the new track and the subtitles. With `output` "sidecar" all films get one, in their own container where it
    takes the track. Raises ConversionFailed: `unsupported_streams` when the film holds what FFmpeg cannot copy and
    `allow_data_loss` is not set, `name_too_long`.
    """
    if decision.source is None:
        raise ConversionFailed("no_source", "the decision names no track to make one from")
    language = languages.known()[decision.language]
    muxer = _muxer(probe, film)
    if settings.output == "sidecar" or (muxer is None and not settings.remux):
        return _sidecar(probe, decision.source, language, film, muxer, settings)
    return _whole(probe, decision.source, language, film, muxer, settings)


def _muxer(probe: Probe, film: bytes) -> Muxer | None:
    """Give the muxer of a film's own container; None for one that cannot take the track."""
    names = probe.format_name.split(",")
    if "matroska" in names:
        if not film.lower().endswith(b".webm"):
            return "matroska"
        return "webm" if all(s.codec in _WEBM for s in probe.streams) else None
    if "mov" not in names:
        return None
    brand = probe.tags.get("major_brand", "qt  ")  # files of before the brands are QuickTime's
    if brand.lower().startswith("3g"):
        return None
    return "mov" if brand == "qt  " else "mp4"


def _whole(
    probe: Probe, source: int, language: Language, film: bytes, own: Muxer | None, settings: StereoSettings
) -> Plan:
    """Plan a result that takes the film's place, and so holds all of it."""
    muxer = own or "matroska"
    chapters = {s.index for s in probe.streams if muxer in _ISO and is_chapter_track(s, probe)}
    lost = [s for s in probe.streams if s.index not in chapters and not _can_be_kept(s, muxer, foreign=own is None)]
    if lost and not settings.allow_data_loss:
        raise ConversionFailed("unsupported_streams", f"FFmpeg could not keep {told(lost)}; the film stays as it is")
    kept = [s for s in probe.streams if s.index not in chapters and s not in lost]
    covers = [s.index for s in kept if "attached_pic" in s.dispositions]
    lost_tags = other_tags(probe) if covers and muxer in _ISO else []
    if lost_tags and not settings.allow_data_loss:
        tags = ", ".join(lost_tags)
        raise ConversionFailed("unsupported_streams", f"FFmpeg could not keep both the cover and the tags {tags}")
    attachments = [s.index for s in kept if s.kind == "attachment"]
    anew = [s.index for s in kept if muxer == "mp4" and is_time_code(s)]
    tracks = [s for s in kept if s.index not in {*covers, *attachments, *anew}]
    return Plan(
        target=film if own else _beside(film, b"", b".mkv"),
        muxer=muxer,
        made_from=source,
        title=language.made_title,
        language=_code(language, muxer),
        mapped=(*(s.index for s in tracks), *attachments),
        made_at=_place(tracks, settings),
        codec=encoder.codec_of(muxer, settings.codec),
        anew=tuple(anew),
        covers=tuple(covers),
        left_out=tuple(sorted(chapters)),
        lost=tuple(s.index for s in lost),
        lost_tags=tuple(lost_tags),
        foreign=own is None,
    )


def _place(tracks: Sequence[Stream], settings: StereoSettings) -> int:
    sound = [at for at, track in enumerate(tracks) if track.kind == "audio"]
    return sound[0] if settings.position == "first" else sound[-1] + 1


def _can_be_kept(stream: Stream, muxer: Muxer, *, foreign: bool) -> bool:
    if stream.kind == "data":
        return muxer in _ISO and is_time_code(stream)
    if foreign and stream.kind == "subtitle":
        return stream.codec in _MATROSKA_SUBTITLES
    return bool(stream.codec) or stream.kind == "attachment"


def is_chapter_track(stream: Stream, probe: Probe) -> bool:
    """Tell whether a stream is the text track in which MP4 keeps the titles of its chapters."""
    count = stream.raw.get("nb_frames")
    is_text = stream.kind == "data" and stream.raw.get("codec_tag_string") == "text"
    return is_text and bool(probe.chapters) and count in (None, str(len(probe.chapters)))


def other_tags(probe: Probe) -> list[str]:
    """Give the film's tags that MP4 holds in QuickTime's way only, beside which FFmpeg writes no cover."""
    return [key for key in probe.tags if not _ITUNES_TAGS.fullmatch(key)]


def is_time_code(stream: Stream) -> bool:
    """Tell whether a stream is a QuickTime time code: one packet, the number of the first frame."""
    return stream.kind == "data" and stream.raw.get("codec_tag_string") == "tmcd"


def told(streams: Sequence[Stream]) -> str:
    """Name streams for a person."""
    names = (f"{s.index} ({s.kind} {s.codec or s.raw.get('codec_tag_string', 'unknown')})" for s in streams)
    return f"stream{'' if len(streams) == 1 else 's'} {', '.join(names)}"


def _sidecar(
    probe: Probe, source: int, language: Language, film: bytes, own: Muxer | None, settings: StereoSettings
) -> Plan:
    """Plan a file beside the film, which can be watched by itself; the film keeps the rest."""
    muxer = own or "matroska"
    pictures = [s.index for s in probe.streams if audio.is_picture(s)]
    subtitles = [
        s.index for s in probe.streams if s.kind == "subtitle" and (s.codec in _MATROSKA_SUBTITLES or (own and s.codec))
    ]
    fonts = [s.index for s in probe.streams if s.kind == "attachment" and muxer == "matroska"]  # subtitles need them
    mapped = (*pictures, *subtitles, *fonts)
    return Plan(
        target=_beside(film, b".stereo", os.path.splitext(film)[1] if own else b".mkv"),
        muxer=muxer,
        made_from=source,
        title=language.made_title,
        language=_code(language, muxer),
        mapped=mapped,
        made_at=len(pictures),
        codec=encoder.codec_of(muxer, settings.codec),
        left_out=tuple(s.index for s in probe.streams if s.index not in mapped),
        sidecar=True,
        foreign=own is None,
    )


def _code(language: Language, muxer: Muxer) -> str:
    return language.code if muxer in _ISO else language.bibliographic


def _beside(film: bytes, middle: bytes, extension: bytes) -> bytes:
    folder, name = os.path.split(film)
    new = os.path.splitext(name)[0] + middle + extension
    if len(new) > NAME_LIMIT_BYTES:
        raise ConversionFailed("name_too_long", f"the name has no room for {(middle + extension).decode()}")
    return os.path.join(folder, new)
