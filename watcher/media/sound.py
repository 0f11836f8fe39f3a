"""The sound that a track is made from, as an input of FFmpeg: all of it, from its beginning, in one form.

Broadcasts send a film in 5.1 and the advertisements in stereo. At each change FFmpeg would set up its filters anew, and
all that they had counted would be lost: where the film began, which piece of the track is under way. So a change ends
the run; from then on the sound is heard by way of a `Link`: one FFmpeg decodes and mixes it into the form that it has in
the beginning, the other does the work. Only from then on, as handing every sample over costs 6 % more than one FFmpeg
(CPU of decoding and encoding 400 s of 5.1 AC-3, the mean of two pairs of runs each with FFmpeg 5.1 and 8.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from watcher.errors import ConversionFailed
from watcher.media import downmix, encoder, ffmpeg, remux

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from watcher.media.downmix import StereoSettings
    from watcher.media.ffmpeg import Argument, Link
    from watcher.media.layout import Plan
    from watcher.media.probe import Probe
    from watcher.media.runs import Runs

CHANGED: Final = "form_changed"
"""The reason of the failure with which a run ends when the sound changes its form for the first time."""
_FIXED: Final = ("-reinit_filter", "0")
_SAID: Final = "Changing audio frame properties on the fly"
"""By FFmpeg 5 to 9, at a change, with `_FIXED`."""


class Sound:
    """The sound of one film that its track is made from."""

    def __init__(self, runs: Runs, film: bytes, before: Probe, plan: Plan, settings: StereoSettings) -> None:
        self.changes = False
        """It changes its form half-way, as far as is known."""
        self.source = next(s for s in before.streams if s.index == plan.made_from)
        self.rate = encoder.sample_rate(plan.codec, self.source)
        """Samples a second of the track."""
        self._runs = runs
        self._film = remux.film_input(film, before, settings.threads)
        # Of broadcasts FFmpeg takes for zero what it finds in the streams that it uses.
        self._besides = remux.used_only(plan.copied()) if plan.foreign else []

    async def hear(self, command: Callable[[Sequence[Argument], int], list[Argument]], what: str, **how: Any) -> None:
        """Run a command on all of the sound. It is made from the input and the number of the stream there.

        `how` is as for `Runs.run`. Raises ConversionFailed: what that raises, or CHANGED, after which it can be heard again.
        """
        if self.changes:
            link = ffmpeg.Link()
            try:
                await self._runs.run(command(_heard(link), 0), what, fed_by=(self._hand_over(link), link), **how)
            finally:
                link.close()
            return
        argv = [*command([*_FIXED, *self._film], self.source.index), *self._besides]
        try:
            await self._runs.run(argv, what, **how)
        except ConversionFailed as error:
            if not any(_SAID in line for line in error.said):
                raise
            self.changes = True
            raise ConversionFailed(CHANGED, f"{what}: the sound changes its form half-way") from error

    def _hand_over(self, link: Link) -> list[Argument]:
        form = f"sample_fmts=flt:sample_rates={self.rate}:channel_layouts={downmix.layout_word(self.source)}"
        return [
            *(self._runs.tools.ffmpeg, *ffmpeg.QUIET, "-y", *self._film, "-map", f"0:{self.source.index}"),
            *("-af", f"aformat={form}", "-c:a", "pcm_f32le", "-f", "nut", link.to, *self._besides),
        ]


def _heard(link: Link) -> list[Argument]:
    return ["-copyts", *ffmpeg.SAFE, "-protocol_whitelist", "pipe", "-f", "nut", "-i", link.source]
