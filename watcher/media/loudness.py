"""How loud a track is, by EBU R 128: what FFmpeg is asked for, and what its filters report.

Two things are measured. Before the track is made, the film is listened to, to know by how much the raised centre would
change the whole, or by how much it misses the loudness wanted: that is taken back, or made up for, in the mixing. And
the finished track is measured while it is read back, for its length, its loudness and its true peak.

"keep" keeps the loudness of the plain downmix (ITU-R BS.775, unscaled), as that is what the television would play
from the source: changing to the new track changes how speech stands out, and not how loud the film is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from watcher.media import downmix, ffmpeg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from watcher.media.downmix import StereoSettings
    from watcher.media.ffmpeg import Argument, Tools
    from watcher.rules.audio import Stream

TRUE_PEAK_LIMIT_DB: Final = -1.0
"""EBU R 128's, in dBTP. Above it loudspeakers may clip what no sample shows."""
MEASURING: Final = ("-nostdin", "-hide_banner", "-v", "repeat+level+info", "-nostats")
"""ffmpeg's global options where a filter reports what it measured: it does so at the level of information."""
WINDOWS: Final = 4
WINDOW_SEC: Final = 15.0
"""What "keep" listens to of a long film: a minute, spread over all of it. Only the difference between two mixes of
one sound is looked for, at most half of the boost either way, and a minute has told it within half a decibel. Opening the film for each window
costs more than listening to it."""
_GAIN_LIMIT_DB: Final = 20.0
"""What is quieter than that is no film's sound, and would become noise."""
_NOTHING_LUFS: Final = -70.0
"""EBU R 128's absolute gate: what is reported of silence."""
_NEAR_LIMIT_DB: Final = -4.5
"""Half a second without a sample above it has no true peak above the limit: between samples it may rise by 3 dB, in
sound that is made to show it."""

MEASURE: Final = (
    "asetnsamples=n=24000:p=0,asplit[samples][sound];[samples]volumedetect@samples,anullsink;"
    "[sound]ebur128@whole=framelog=verbose,astats=reset=1:metadata=1:measure_perchannel=none:measure_overall=Peak_level,"
    f"ametadata=select:key=lavfi.astats.Overall.Peak_level:value={_NEAR_LIMIT_DB - 0.1}:function=greater,"
    "ebur128@peaks=framelog=verbose:peak=true"
)
"""The filter that a `Meter` reads: samples counted, loudness of all, and the true peak, which costs three times as much
as the rest, of those half seconds that come near the limit."""


@dataclass(frozen=True, slots=True)
class Level:
    """What was measured of a whole track."""

    samples: float
    """Of one channel."""
    loudness_lufs: float | None
    """None of silence."""
    sample_peak_db: float
    true_peak_db: float


class Meter:
    """Reads the reports of ebur128 and volumedetect among what FFmpeg says."""

    _SAID: Final = re.compile(r"\[(?:ebur128|volumedetect)@(\w+) @ \S+ (?:\[info\] )?(?:(\w+): (\S+))?")
    _LINE: Final = re.compile(r"(I|Peak): +(\S+) (?:LUFS|dBFS)$")
    _MORE: Final = re.compile(
        r"(?:Integrated loudness|Loudness range|True peak):$|(?:Threshold|LRA|LRA low|LRA high): +\S+ LU"
    )

    def __init__(self) -> None:
        self._speaker = ""
        self._found: dict[tuple[str, str], float] = {}

    def take(self, line: str) -> bool:
        """Take in a line; False when it is none of a report."""
        if match := self._SAID.match(line):
            self._speaker = match[1]
            self._note(match[2], match[3])
        elif match := self._LINE.match(line):
            self._note(match[1], match[2])
        else:
            return bool(self._MORE.match(line))
        return True

    def _note(self, key: str | None, value: str) -> None:
        if key in {"I", "Peak", "n_samples", "max_volume"}:
            # A filter that is set up anew in the middle reports twice: lengths add up, and the loudest counts.
            number, before = float(value), self._found.get((self._speaker, key))
            self._found[self._speaker, key] = (
                number if before is None else before + number if key == "n_samples" else max(before, number)
            )

    @property
    def samples(self) -> float:
        """How many samples there were, of all channels together."""
        return self._found.get(("samples", "n_samples"), 0.0)

    @property
    def sample_peak_db(self) -> float:
        """The highest sample, in dBFS; more than 0 is shown as 0."""
        return self._found.get(("samples", "max_volume"), -200.0)

    @property
    def true_peak_db(self) -> float:
        """The true peak in dBTP; where no sample comes near the limit, the highest sample."""
        peak = self.sample_peak_db
        return max(peak, self._found.get(("peaks", "Peak"), peak)) if peak > _NEAR_LIMIT_DB else peak

    def level(self) -> Level:
        """Give what was measured of a stereo track by `MEASURE`."""
        return Level(self.samples / 2, self.loudness_lufs(), self.sample_peak_db, self.true_peak_db)

    def loudness_lufs(self, speaker: str = "whole") -> float | None:
        """The integrated loudness; None of silence."""
        found = self._found.get((speaker, "I"), _NOTHING_LUFS)
        return found if found > _NOTHING_LUFS else None


def has_to_listen(source: Stream, settings: StereoSettings) -> bool:
    """Tell whether `gain_db` needs to know the film: not where the mix is the plain one."""
    return settings.loudness != "keep" or len({*_mixes(source, settings).values()}) > 1


def listen_command(
    tools: Tools, sound: Sequence[Argument], stream: int, source: Stream, settings: StereoSettings
) -> list[Argument]:
    """Measure for `gain_db` what the plain and the new mix of a track would be, of all that the input `sound` has."""
    return _listen(tools, sound, f"[0:{stream}]", source, settings)


def sample_command(
    tools: Tools, film: bytes, source: Stream, settings: StereoSettings, duration_sec: float | None
) -> list[Argument] | None:
    """Do the same by a minute of a long film; None where all of it has to be heard."""
    if settings.loudness != "keep" or duration_sec is None or duration_sec <= 2 * WINDOWS * WINDOW_SEC:
        return None
    inputs: list[Argument] = []
    for number in range(WINDOWS):
        start = duration_sec * (number + 0.5) / WINDOWS
        inputs += [*ffmpeg.SAFE, "-threads", str(settings.threads), "-fpsprobesize", "0"]
        inputs += ["-ss", f"{start:.3f}", "-t", str(WINDOW_SEC), "-i", ffmpeg.source(film)]
    form = downmix.layout_word(source)  # what was recorded between advertisements may have another one here and there
    windows = [f"[{n}:{source.index}]aformat=channel_layouts={form}[w{n}]" for n in range(WINDOWS)]
    joined = f"{''.join(f'[w{n}]' for n in range(WINDOWS))}concat=n={WINDOWS}:v=0:a=1,"
    return _listen(tools, inputs, f"{';'.join(windows)};{joined}", source, settings)


def _listen(
    tools: Tools, inputs: Sequence[Argument], heard: str, source: Stream, settings: StereoSettings
) -> list[Argument]:
    mixes = _mixes(source, settings)
    split = f"{heard}{downmix.PREPARED},asplit=outputs={len(mixes)}{''.join(f'[{name}]' for name in mixes)}"
    meters = [f"[{name}]{mixing},ebur128@{name}=framelog=verbose[out_{name}]" for name, mixing in mixes.items()]
    words: list[Argument] = [tools.ffmpeg, *MEASURING, *ffmpeg.PROGRESS, *inputs]
    words += ["-filter_complex", ";".join([split, *meters])]
    for name in mixes:
        words += ["-map", f"[out_{name}]"]
    return [*words, "-f", "null", "-"]


def _mixes(source: Stream, settings: StereoSettings) -> dict[str, str]:
    mixed = downmix.mix(source, settings.dialogue_boost_db)
    return {"plain": downmix.mix(source, 0.0), "mixed": mixed} if settings.loudness == "keep" else {"mixed": mixed}


def gain_db(meter: Meter, settings: StereoSettings) -> float:
    """Give by how much the mix is to be louder; nothing where nothing was heard."""
    mixed = meter.loudness_lufs("mixed")
    wanted = meter.loudness_lufs("plain") if settings.loudness == "keep" else settings.loudness_target_lufs
    if mixed is None or wanted is None:
        return 0.0
    return round(max(-_GAIN_LIMIT_DB, min(_GAIN_LIMIT_DB, wanted - mixed)), 1)


def measure_command(tools: Tools, file: bytes, form: str) -> list[Argument]:
    """Decode a track that stands in a file of its own, in the form of this demuxer, for `Meter.level`."""
    words: list[Argument] = [tools.ffmpeg, *MEASURING, *ffmpeg.PROGRESS, *ffmpeg.SAFE, "-f", form]
    return [*words, "-i", ffmpeg.source(file), "-af", MEASURE, "-f", "null", "-"]


def samples_command(tools: Tools, film: bytes, number: int) -> list[Argument]:
    """Decode one track of a film for its highest sample."""
    words: list[Argument] = [tools.ffmpeg, *MEASURING, *ffmpeg.SAFE, "-i", ffmpeg.source(film), "-map", f"0:{number}"]
    return [*words, "-af", "volumedetect@samples", "-f", "null", "-"]
