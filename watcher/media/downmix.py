"""The sound of the new track: a downmix to stereo in which people can hear what is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from watcher.rules.audio import Stream

_WITHOUT_CENTRE: Final = frozenset({"stereo", "downmix", "2.1", "3.0(back)", "quad", "quad(side)"})
"""FFmpeg's layouts of more than one channel that have no centre: there is nothing to raise."""


@dataclass(frozen=True, slots=True)
class StereoSettings:
    """How the new track is made."""

    bitrate_kbps: int = 192
    dialogue_boost_db: float = 3.0
    """By how much the centre is raised against the other channels, beyond a plain downmix."""
    threads: int = 2
    """Of the source's decoder."""
    default_track: bool = False
    """The new track is the one that players choose by themselves."""


def downmix(source: Stream, settings: StereoSettings) -> str:
    """Give the filter: any layout to stereo, the centre raised, peaks limited. Channels that are absent count nothing.

    A plain downmix takes centre and surrounds at -3 dB (0.707, ITU-R BS.775). The boost is shared out, half up for
    the centre and half down for the rest, so that the whole stays about as loud as it was. `=` and not `<`: with `<`
    FFmpeg scales the sum down, and the track is 7.5 dB too quiet. Sound that begins late is filled up with silence.
    """
    has_centre = source.channel_layout not in _WITHOUT_CENTRE
    half = 10 ** (settings.dialogue_boost_db / 40) if has_centre else 1.0
    front, centre, side, rear = 1 / half, 0.7071 * half, 0.7071 / half, 0.5 / half
    left, right = (
        f"F{s}={front:.4f}*F{s}+{centre:.4f}*FC+{side:.4f}*F{s}C+{side:.4f}*S{s}+{side:.4f}*B{s}+{rear:.4f}*BC"
        for s in "LR"
    )
    return (
        f"aresample=async=1:first_pts=0,aformat=sample_fmts=fltp,pan=stereo|{left}|{right},"
        "alimiter=limit=0.95:level=false:attack=5:release=50:latency=true"
    )
