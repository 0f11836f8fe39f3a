"""The codec of the new track: which one a container gets, and what FFmpeg is told about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from watcher.media.downmix import StereoSettings
    from watcher.rules.audio import Stream

_ENCODERS: Final = {"aac": "aac", "ac3": "ac3", "opus": "libopus"}
"""FFmpeg's encoders by ffprobe's name of the codec."""
_RATES: Final = {"ac3": frozenset({32_000, 44_100, 48_000}), "opus": frozenset({48_000})}
"""Sample rates that a codec knows. AAC knows all that films have, but players know none above 48 kHz."""


def codec_of(muxer: str, wanted: str) -> str:
    """Give the codec (ffprobe's name) that a container gets where `wanted` is set.

    WebM may hold Opus alone. Of MP4 and MOV it is not told: FFmpeg would write it, but televisions and Apple's players
    stay silent, so they get AAC.
    """
    if muxer == "webm":
        return "opus"
    return "aac" if wanted == "opus" and muxer != "matroska" else wanted


def options(codec: str, source: Stream, settings: StereoSettings) -> Iterator[tuple[str, str]]:
    """Give ffmpeg's options for the new track, each to be told which stream it is for: ("c", "aac"), ..."""
    yield "c", _ENCODERS[codec]
    yield "b", f"{settings.bitrate_kbps}k"
    if source.sample_rate > 48_000 or (codec in _RATES and source.sample_rate not in _RATES[codec]):
        yield "ar", "48000"
