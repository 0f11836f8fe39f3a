"""Making a stereo track, and proving the result: four steps, each of which a later run of the same work finds done.

    1 encode   a minute of the film, or all of it, is listened to; its track is made in a file beside it, and measured
    2 mux      film and track -> result, and what passes by of their packets on the way
    3 verify   ffprobe: what the result says it holds; ffmpeg: the same of its packets
    4          the track's file goes; the result stays, proved

Where 1 finds the track's peaks too high, it is made again with a lower limit. Reading, making and measuring of the track
stand in `track`, how the result is put together in `remux`, what is compared in `proof`.

The film is only read. What goes wrong is a ConversionFailed, and leaves no file behind; so does being cancelled. With
checkpoints more is left: see `make`.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from watcher.errors import ConversionFailed, ProbeFailed
from watcher.media import disk, layout, probe, proof, refusals, remux, scratch, structure
from watcher.media.containers import matroska
from watcher.media.downmix import StereoSettings
from watcher.media.layout import Plan, plan
from watcher.media.passed import Passed
from watcher.media.proof import Proof
from watcher.media.runs import Runs
from watcher.media.track import MEASURED_SHARE, TrackMaker
from watcher.rules import names
from watcher.rules.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable

    from watcher.media.checkpoints import Checkpoints, Stops
    from watcher.media.ffmpeg import Tools
    from watcher.media.probe import Probe
    from watcher.media.track import Track
    from watcher.rules.audio import Decision

__all__ = ["Plan", "Proof", "StereoSettings", "identity", "make", "plan", "time_limit_sec"]

FORM: Final = 1
"""Of what is kept as checkpoints, and of how a track is made: another one begins anew."""
MUXED_SHARE: Final = 0.95
"""What is done of the whole work when film and track are put together."""
_COVERS_LIMIT_SEC: Final = 120.0


def time_limit_sec(size_bytes: int, duration_sec: float | None) -> float:
    """Give the longest time that a conversion may take.

    Ten minutes, four times the film's length (a small NAS encodes at ten times real time), and the film read twice,
    written twice (MP4's index is moved to the front) and read again at 2 MB/s. Where the length is not known it is
    taken from the size at 1 Mbit/s, at most 12 hours.
    """
    length = duration_sec if duration_sec is not None else min(size_bytes / 125_000, 43_200.0)
    return 600.0 + 4 * length + 2.5 * size_bytes / 1e6


def identity(probe: Probe, plan: Plan, settings: StereoSettings, tools: Tools) -> dict[str, Any]:
    """Give all that decides, beside the film's content, what its result will be: JSON-ready.

    What was kept of a conversion may be gone on with by one of the same film and the same identity, and by no other.
    """
    planned = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(plan).items()}
    del planned["target"]  # the name it is to have says nothing about what it is
    return {
        "form": FORM,
        "ffmpeg": tools.version,
        "duration_sec": probe.duration_sec,
        "plan": planned,
        "settings": asdict(settings),
    }


async def make(
    tools: Tools,
    source: bytes,
    target_temp: bytes,
    probe: Probe,
    decision: Decision,
    settings: StereoSettings,
    *,
    on_progress: Callable[[float], None] | None = None,
    checkpoints: Checkpoints | None = None,
    stops: Stops | None = None,
) -> Proof:
    """Write the film with its new track to `target_temp`, and prove that nothing else changed.

    `on_progress` gets the share of the work done, 0 to 1. Raises ConversionFailed: `no_space`, `read_only`, `permission`,
    `io_error`, `out_of_memory`, `tool_missing`, `timeout`, `stalled`, `killed` (of the machine); `unsupported_streams`,
    `ffmpeg_failed`, `silent`, `clipped`, `wrong_length`, `proof_failed` (of the film). ToolMissing when FFmpeg cannot be
    started. No file is left then.

    With `checkpoints` what is done is kept whatever ends the work but the film's own fault, and a later call with the
    same arguments goes on from there: no step that was finished is made again, and the result is the same as if nothing
    had happened. Until then the files beside `target_temp` stay; `scratch.clear` removes them. `stops` may stop and
    continue the work; that time counts for no limit.
    """
    limit = time_limit_sec(probe.size_bytes, probe.duration_sec)
    runs = Runs(tools, probe, limit, on_progress, checkpoints, stops)
    chosen = layout.plan(probe, decision, source, settings)
    with scratch.cleared(target_temp, keeps=checkpoints is not None):
        await runs.recall()
        return await _Making(runs, source, target_temp, probe, chosen, settings).run()


class _Making:
    """One conversion under way."""

    def __init__(
        self, runs: Runs, film: bytes, temp: bytes, before: Probe, plan: Plan, settings: StereoSettings
    ) -> None:
        self._runs = runs
        self._film = film
        self._temp = temp
        self._before = before
        self._plan = plan
        self._settings = settings
        self._track = names.beside(temp, b"track")

    async def run(self) -> Proof:
        """Go through the steps; each raises when it finds something wrong, and does nothing that is done."""
        muxed = await asyncio.to_thread(self._recall_muxed)
        proved = self._runs.kept.get("proof") if muxed else None
        if proved is None:
            hidden = await self._hidden()
            track = await TrackMaker(
                self._runs, self._film, self._track, self._before, self._plan, self._settings
            ).make()
            passed = muxed or await self._mux(track)
            proved = await self._verify(track, passed, hidden)
        await asyncio.to_thread(disk.unlink_if_there, self._track)
        return Proof.from_dict(proved)

    def _recall_muxed(self) -> list[Passed] | None:
        """Give what passed by when the result was put together, if that very result stands."""
        kept, there = self._runs.kept.get("muxed"), disk.observe(self._temp)
        # Its time may be that of the film already, which it is given before it takes the film's name.
        if kept is None or there is None:
            return None
        if not there.same_content(replace(Signature(**kept["result"]), mtime_ns=there.mtime_ns)):
            return None
        return [Passed(**stream) for stream in kept["passed"]]

    async def _hidden(self) -> tuple[str, ...]:
        """Name what the film holds and FFmpeg does not show; refuses to lose it where that is not allowed."""
        if self._plan.sidecar or self._plan.muxer != "matroska" or self._plan.foreign:
            return ()
        hidden = await asyncio.to_thread(matroska.not_shown, self._film)
        if hidden and not self._settings.allow_data_loss:
            raise ConversionFailed(
                "unsupported_streams", f"FFmpeg could not keep {'; '.join(hidden)}; the film stays as it is"
            )
        return hidden

    async def _mux(self, track: Track) -> list[Passed]:
        """Put film and track together, and bring the result to disk."""
        tools, account = self._runs.tools, remux.account_of(self._before, self._plan)
        if self._runs.kept.get("muxed") is not None:
            await self._runs.save("mux", {"muxed": None})  # it is gone, and its inode may be this one's
        await asyncio.to_thread(scratch.make, self._temp)
        try:
            taken_out = self._plan.covers if self._plan.attaches_covers else ()
            with scratch.memory_files(len(taken_out)) as files:
                covers = list(zip(taken_out, files, strict=True))
                if covers:
                    argv = remux.cover_command(tools, self._film, covers)
                    await self._runs.run(argv, "taking the cover out", limit_sec=_COVERS_LIMIT_SEC)
                argv = remux.command(
                    tools, self._film, track.path, self._temp, self._before, self._plan, self._settings, files
                )
                share = (MEASURED_SHARE, MUXED_SHARE)
                await self._runs.run(argv, "putting film and track together", share=share, account=account)
            result = await asyncio.to_thread(_on_disk, self._temp)
        except BaseException:
            disk.unlink_if_there(self._temp)  # half of a film is of no use to anybody
            raise
        passed = account.passed()
        kept = {"result": asdict(result), "passed": [asdict(stream) for stream in passed]}
        await self._runs.save("verify", {"muxed": kept})
        return passed

    async def _verify(self, track: Track, film: list[Passed], hidden: tuple[str, ...]) -> dict[str, Any]:
        """Read the result back and compare; gives the proof as it is stored."""
        after = await self._describe()
        proof.require_track(after, self._plan, self._settings)
        argv = remux.read_back_command(self._runs.tools, self._temp, self._before, self._plan, after)
        account = remux.account_of(self._before, self._plan)
        await self._runs.run(argv, "reading the result back", share=(MUXED_SHARE, 1.0), account=account)
        result = account.passed()
        proof.require_equal(self._before, after, self._plan, self._settings, (film, result))
        proved = self._proof(track, after, result, hidden).to_dict()
        await self._runs.save("verify", {"proof": proved})
        return proved

    async def _describe(self) -> Probe:
        found = await asyncio.to_thread(structure.walk, self._temp)
        if found.status != "whole":
            raise ConversionFailed("proof_failed", f"the result is not whole: {', '.join(found.reasons)}")
        try:
            return await probe.probe(self._runs.tools, self._temp)
        except ProbeFailed as error:
            raise ConversionFailed("proof_failed", f"the result cannot be read: {error}") from error

    def _proof(self, track: Track, after: Probe, result: list[Passed], hidden: tuple[str, ...]) -> Proof:
        places = remux.hashed(self._before, self._plan)
        codecs = {s.index: s.codec for s in self._before.streams}
        *kept, made = result
        return Proof(
            streams=tuple(
                {"film": old, "result": new, "codec": codecs[old], "packets": found.packets, "content": found.content}
                for (old, new), found in zip(places, kept, strict=True)
            ),
            made={
                "stream": self._plan.made_at,
                "from": self._plan.made_from,
                "codec": self._plan.codec,
                "packets": made.packets,
                "content": made.content,
                "seconds": round(track.seconds, 3),
                "loudness_lufs": track.level.loudness_lufs,
                "true_peak_dbtp": track.level.true_peak_db,
                "filter": track.sound,
                "gain_db": track.gain_db,
            },
            chapters=len(after.chapters),
            attachments=len(self._plan.places()) - len(places),
            left_out=self._plan.left_out,
            lost=(*proof.lost(self._before, self._plan), *hidden),
            tool_version=self._runs.tools.version,
            cpu_sec=round(self._runs.cpu_sec, 3),
        )


def _on_disk(path: bytes) -> Signature:
    try:
        disk.sync(path)
        return Signature.of(os.lstat(path))
    except OSError as error:
        raise refusals.of_os_error(error, "the result cannot be brought to disk") from error
