"""The codec of the new track: which one a container gets, and what FFmpeg is told about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from watcher.media.downmix import StereoSettings
    from watcher.rules.audio import Stream

_ENCODERS: Final = {"aac": "aac", "ac3": "ac3", "opus": "libopus"}
"""FFmpeg's encoders by ffprobe's name of the codec."""
_RATES: Final = {
    "aac": frozenset({8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000}),
    "ac3": frozenset({32_000, 44_100, 48_000}),
    "opus": frozenset({48_000}),
}
"""Sample rates that a codec knows; of AAC those that players know, too: none above 48 kHz."""
_FORMS: Final = {"aac": ("adts", "aac", 1024), "ac3": ("ac3", "ac3", 256), "opus": ("ogg", "ogg", 0)}
"""How a track stands in a file of its own: FFmpeg's muxer, its demuxer, and the samples that the encoder puts before the
first, of which only Ogg itself tells."""


def codec_of(muxer: str, wanted: str) -> str:
    """Give the codec (ffprobe's name) that a container gets where `wanted` is set.

    WebM may hold Opus alone. Of MP4 and MOV it is not told: FFmpeg would write it, but televisions and Apple's players
    stay silent, so they get AAC.
    """
    if muxer == "webm":
        return "opus"
    return "aac" if wanted == "opus" and muxer != "matroska" else wanted


def options(codec: str, settings: StereoSettings) -> tuple[str, ...]:
    """Give ffmpeg's options for an output that is the new track alone, in a form of its own."""
    return "-c:a", _ENCODERS[codec], "-b:a", f"{settings.bitrate_kbps}k", "-f", _FORMS[codec][0]


def sample_rate(codec: str, source: Stream) -> int:
    """Give the new track's sample rate: its source's, where the codec knows it."""
    return source.sample_rate if source.sample_rate in _RATES[codec] else 48_000


def demuxer(codec: str) -> str:
    """Give FFmpeg's name of the form that `options` writes."""
    return _FORMS[codec][1]


def padding(codec: str) -> int:
    """Give the samples at the beginning that are the encoder's, and that its form does not tell of."""
    return _FORMS[codec][2]
