"""How FFmpeg is asked to decode a stream where its own way would say nothing.

    VP9     libvpx says "Corrupt frame detected" where FFmpeg's own decoder makes a picture of anything. It takes as long
            (1.00 to 1.09 times), so it decodes films that are decoded from beginning to end.
    HEVC    up to FFmpeg 7.0 the decoder says, at the level "debug", which pictures it decoded to their last block. Damage
            makes slices end early, and of that it says nothing else. From 7.1 on it says so of every picture.
    dav1    how MP4 names AV1 with Dolby Vision. FFmpeg 5 to 8 know no codec of that name, but can be told.
    pcm_f*  any bytes are a sample; but nobody records one 60 dB above full scale, and of changed bytes every other is.

None of them condemned an intact film.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from watcher.media.ffmpeg import Tools
    from watcher.rules.audio import Stream

_STRICTER: Final = {"vp9": "libvpx-vp9"}
_BY_TAG: Final = {"dav1": ("av1", "libdav1d")}
_NO_COUNT_FROM: Final = (7, 1)
_LOUDEST_DB: Final = 60
_LISTENING: Final = (
    "astats=metadata=1:reset=1:measure_perchannel=none:measure_overall=Peak_level,"
    f"ametadata=print:key=lavfi.astats.Overall.Peak_level:value={_LOUDEST_DB}:function=greater:direct=1:file=pipe\\\\:2"
)
"""Says nothing but the peak of a frame that is too loud; costs a hundredth of a second for a minute of sound."""


def named(stream: Stream, tools: Tools) -> Stream:
    """Give the stream with the codec that its container's tag means, where FFmpeg does not know it but can decode it."""
    codec, decoder = _BY_TAG.get(str(stream.raw.get("codec_tag_string")), ("", ""))
    return replace(stream, codec=codec) if not _is_known(stream) and decoder in tools.decoders else stream


def chosen(streams: Sequence[Stream], tools: Tools, *, strict: bool) -> tuple[str, ...]:
    """Give the input options that name decoders; `strict` also those which look closer than FFmpeg's own."""
    words: list[str] = []
    for stream in streams:
        decoder = "" if _is_known(stream) else _BY_TAG.get(str(stream.raw.get("codec_tag_string")), ("", ""))[1]
        if strict and _STRICTER.get(stream.codec) in tools.decoders:
            decoder = _STRICTER[stream.codec]
        words += (f"-c:{stream.index}", decoder) if decoder else ()
    return tuple(words)


def counts_pictures(streams: Sequence[Stream], tools: Tools) -> bool:
    """Tell whether this FFmpeg's decoder will say, at the level "debug", which of these streams' pictures it finished.

    A picture has 300 bytes of such lines, whatever the codecs beside it.
    """
    release = re.match(r"n?(\d+)\.(\d+)", tools.version)
    early = release is not None and (int(release[1]), int(release[2])) < _NO_COUNT_FROM
    return early and any(stream.codec == "hevc" for stream in streams)


def are_doubtful(streams: Sequence[Stream], tools: Tools) -> bool:
    """Tell whether a stricter decoder may lack what a stream needs, as libvpx built for pictures of eight bits only."""
    strict = [stream for stream in streams if _STRICTER.get(stream.codec) in tools.decoders]
    return any(stream.raw.get("pix_fmt") not in {"yuv420p", "yuvj420p"} for stream in strict)


def listening(streams: Sequence[Stream]) -> tuple[str, ...]:
    """Give the output options, for streams in the order of the output, that tell of sounds nobody recorded."""
    loud = [place for place, stream in enumerate(streams) if stream.codec.startswith("pcm_f")]
    return tuple(word for place in loud for word in (f"-filter:{place}", _LISTENING))


def _is_known(stream: Stream) -> bool:
    return stream.raw.get("codec_name") not in {None, "unknown", "none"}
