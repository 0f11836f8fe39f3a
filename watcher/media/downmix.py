"""The sound of the new track: a downmix to stereo in which people can hear what is said.

Every channel has its weights by its name, and FFmpeg leaves out those that a track has not: one table serves every
layout. Sound whose channels nobody named is taken by their order, as FFmpeg and Windows would guess it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from watcher.rules.audio import Stream

CEILING_DB: Final = -4.0
"""Where the limiter holds the samples, in dBFS. What a coder makes of them peaks higher: by up to one dB in films that
were driven 15 dB into the limiter, by six in noise."""

PREPARED: Final = "aresample=async=1:first_pts=0,aformat=sample_fmts=fltp"
"""What goes before: sound that begins late or has gaps is filled up, and nothing is clipped between the filters."""

_HALF: Final = 0.7071
"""-3 dB. Two of them are as loud as one whole: so much of the centre, and of the surrounds, ITU-R BS.775 gives."""
_LEFT: Final = {
    "FL": 1.0,
    "FLC": _HALF,
    "SL": _HALF,
    "BL": _HALF,
    "WL": _HALF,
    "SDL": _HALF,
    "TFL": 0.5,
    "TSL": 0.5,
    "TBL": 0.5,
    "BFL": 0.5,
}
"""The channels of the left, which go there alone; those of the right mirror them."""
_RIGHT: Final = {name.replace("L", "R"): weight for name, weight in _LEFT.items()}
_BOTH: Final = {"FC": _HALF, "BC": 0.5, "TC": 0.3536, "TFC": 0.3536, "TBC": 0.3536, "BFC": 0.3536}
"""The channels in the middle, which go to both sides. The bass goes nowhere, as in FFmpeg's own downmix: what matters
of it is in the other channels too, and small loudspeakers only rattle."""
_WITHOUT_CENTRE: Final = frozenset(
    {"stereo", "downmix", "2.1", "3.0(back)", "quad", "quad(side)", "6.0(front)", "6.1(front)", "cube"}
)
"""FFmpeg's layouts of more than one channel that have no centre: there is nothing to raise."""
_GUESSED: Final = {
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "FC", "BC"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}
"""What so many channels without names are, by FFmpeg's own guess; but of three the last is taken for speech, not bass.
Where there are more than eight, most layouts begin like 7.1, and what is beyond stays unheard."""
_NAMED: Final = re.compile(r"\(([A-Z0-9]+(?:\+[A-Z0-9]+)+)\)$")
"""How FFmpeg 7 writes a layout that has no name of its own: "6 channels (FL+FR+FC+LFE+BC+TC)"."""


@dataclass(frozen=True, slots=True)
class StereoSettings:
    """How the new track is made: the settings of [audio] by the same names, which `config.example.toml` explains."""

    bitrate_kbps: int = 192
    codec: Literal["aac", "ac3", "opus"] = "aac"
    dialogue_boost_db: float = 3.0
    """By how much the centre is raised against the other channels, beyond a plain downmix."""
    threads: int = 2
    """Of the source's decoder."""
    default_track: bool = False
    """The new track is the one that players choose by themselves."""
    loudness: Literal["keep", "ebu_r128"] = "keep"
    loudness_target_lufs: float = -23.0
    position: Literal["last", "first"] = "last"
    """Among the sound tracks."""
    output: Literal["add", "sidecar"] = "add"
    """The track goes into the film, or with the picture into a file beside it."""
    remux: bool = False
    """add: a film whose container cannot take the track becomes Matroska."""
    allow_data_loss: bool = False
    """What FFmpeg cannot copy is lost, and does not refuse the film."""


def downmix(
    source: Stream, settings: StereoSettings, *, sample_rate: int, gain_db: float = 0.0, ceiling_db: float = CEILING_DB
) -> str:
    """Give the filter: any layout to stereo, the centre raised, all of it by `gain_db` louder, peaks limited.

    The boost is shared out, half up for the centre and half down for the rest, so that the whole stays about as loud.
    """
    mixed = mix(source, settings.dialogue_boost_db, gain_db)
    limit = 10 ** (ceiling_db / 20)
    limited = f"alimiter=limit={limit:.4f}:level=false:attack=5:release=50:latency=true"
    return f"{PREPARED},{mixed},{limited},aformat=sample_fmts=fltp:sample_rates={sample_rate}"


def mix(source: Stream, boost_db: float, gain_db: float = 0.0) -> str:
    """Give the mixing alone: with no boost and no gain it is the plain downmix of ITU-R BS.775.

    `=` and not `<`: with `<` FFmpeg scales the sum down, and the track is 7.5 dB too quiet.
    """
    names = _names(source)
    gain = 10 ** (gain_db / 20)
    half = 10 ** (boost_db / 40) if _has_centre(source, names) else 1.0
    sides = [
        "+".join(
            f"{gain * (weight * half if channel == 'FC' else weight / half):.4f}*{name}"
            for channel, name in names.items()
            if (weight := (_BOTH | side).get(channel))
        )
        for side in (_LEFT, _RIGHT)
    ]
    return f"pan=stereo|FL={sides[0]}|FR={sides[1]}"


def layout_word(source: Stream) -> str:
    """Give the word by which a filter knows a track's layout; of one without a name, FFmpeg's guess by its channels."""
    if match := _NAMED.search(source.channel_layout):
        return match[1]
    return source.channel_layout if _is_named(source) else f"{source.channels}c"


def _is_named(source: Stream) -> bool:
    layout = source.channel_layout
    return (
        bool(layout) and layout != "unknown" and (not re.match(r"\d+ channels", layout) or bool(_NAMED.search(layout)))
    )


def _names(source: Stream) -> Mapping[str, str]:
    """Give every channel that may count, and what the filter knows it by: its name, else its number."""
    if source.channel_layout.startswith("ambisonic"):
        return {"FC": "c0"}  # the first is what is heard in all directions together
    if _is_named(source):
        return {channel: channel for channel in (*_LEFT, *_RIGHT, *_BOTH)}
    return {channel: f"c{number}" for number, channel in enumerate(_GUESSED.get(source.channels, _GUESSED[8]))}


def _has_centre(source: Stream, names: Mapping[str, str]) -> bool:
    if source.channel_layout.startswith("ambisonic"):
        return False
    if match := _NAMED.search(source.channel_layout):
        return "FC" in match[1].split("+")
    return "FC" in names and source.channel_layout not in _WITHOUT_CENTRE
