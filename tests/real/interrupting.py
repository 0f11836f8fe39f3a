"""Kills a service in the middle of a conversion, again and again, and sees to it that nothing is lost or done twice."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from running import Service, slow_ffmpeg

from watcher.operations import document

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

SMALL_PIECES = "from watcher.media import pieces; pieces.SHORTEST_SEC = 4.1; from watcher.cli import main; main()"
"""The program, with pieces of a track that small films have several of."""
STEPS = ("probe", "encode", "mux", "verify", "swap")


class Interrupting:
    """One film and a service that converts it; `kill` ends that at an instant of one step."""

    def __init__(self, folder: Path, made: Path, *, read_times: float) -> None:
        self.films = folder / "films"
        self.films.mkdir()
        self.film = self.films / "film.mkv"
        self.film.hardlink_to(made)
        times = {"stable_wait_sec": 1, "settle_sec": 0.1, "loop_interval_sec": 0.5}
        self.service = Service(folder, self.films, ffmpeg={"ffmpeg": str(slow_ffmpeg(folder, read_times))}, **times)
        self.started = folder / "started"
        self.seen: list[document.TranscodeState] = []
        """What stood in the state file after each interruption."""

    def is_done(self) -> bool:
        return (self.service.statuses(self.film) or ("",) * 3)[1] == "CONVERTED"

    def state(self) -> document.TranscodeState | None:
        """Give what stands in the film's state file. Raises StateBroken when that is not whole."""
        found = next((name for name in os.listdir(self.films) if name.endswith(".state.json")), None)
        return document.read(os.fsencode(self.films / found)) if found else None

    def _until(self, step: str, pieces: int, timeout: float = 60) -> bool:
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            state = self.state()
            if state is not None and STEPS.index(state.current_step) >= STEPS.index(step):
                if state.data.get("track", {}).get("pieces", 0) >= pieces:
                    return True
            elif state is None and self.is_done():
                return False
            time.sleep(0.002)
        raise AssertionError(f"{step} was not reached: {self.service.log.read_text()[-3000:]}")

    def interrupt(
        self, step: str, after_sec: float = 0, how: signal.Signals = signal.SIGKILL, *, pieces: int = 0
    ) -> bool:
        """Start the service, end it so long after a step has begun and so many pieces are made, and look at what is left.

        Gives False when the film was converted before that.
        """
        left = self.state() is not None
        self.service.start(program=("-c", SMALL_PIECES))
        if left:  # what stands there now is of the run before
            self.service.until(lambda: self._goes_on() or self.is_done(), "it goes on")
        under_way = self._until(step, pieces)
        if under_way:
            time.sleep(after_sec)
        self.service.stop(how)
        state = self.state()
        if state is not None:
            if self.seen:
                self._require_progress(self.seen[-1], state)
            self.seen.append(state)
        return under_way and not self.is_done()

    def _goes_on(self) -> bool:
        return any(line["event"] == "conversion goes on" for line in self.service.lines_of_this_run())

    def _require_progress(self, before: document.TranscodeState, now: document.TranscodeState) -> None:
        """What was finished stays so, and stays the same."""
        assert now.operation_id == before.operation_id
        assert set(before.steps_completed) <= set(now.steps_completed)
        assert now.progress_percent >= before.progress_percent
        for name in ("gain_db", "measured", "muxed", "proof"):
            if name in before.data:
                assert now.data[name] == before.data[name], name
        assert now.data.get("track", {}).get("pieces", 0) >= before.data.get("track", {}).get("pieces", 0)

    def finish(self) -> None:
        """Let the service end what it began."""
        self.service.start(program=("-c", SMALL_PIECES))
        self.service.until(self.is_done, "the film is converted", timeout=120)
        self.service.stop()

    def encodings(self) -> list[int]:
        """Give of how many pieces each run of FFmpeg was that encoded."""
        return [int(count) for count in re.findall(r"asplit=(\d+)", self.started.read_text())]


def instants(dice: random.Random, kills: int, longest_sec: float) -> Iterator[tuple[str, float]]:
    """Give steps, in their order, and how long after their beginning: most of them where most of the time goes."""
    steps = [dice.choice(("encode", "encode", "encode", "mux", "verify", "swap")) for _ in range(kills)]
    for step in sorted(steps, key=STEPS.index):
        yield step, dice.uniform(0, 0.03 if step == "swap" else longest_sec)


def hashes(film: Path) -> str:
    """Give a hash of each packet of all streams."""
    command = ["ffmpeg", "-v", "error", "-i", film, "-map", "0", "-c", "copy", "-f", "framehash", "-"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
