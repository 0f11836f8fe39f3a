"""Conversions in a process of their own that are ended at any instant; what they keep is a JSON file, renamed into place."""

import asyncio
import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

from watcher.media import probe, stereo
from watcher.rules.audio import Decision

MAKE = Decision("make", "english_surround", "", source=1)


class InAFile:
    """Checkpoints that are whole whenever a kill comes, and a list of all that was ever saved."""

    def __init__(self, path):
        self.path = Path(path)

    def kept(self):
        return json.loads(self.path.read_text()) if self.path.exists() else {}

    def save(self, step, percent, data):
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps({**self.kept(), **data}))
        new.rename(self.path)
        track = data.get("track", {})
        what = [step, *sorted(data.keys() - {"share", "cpu_sec"}), str(track.get("pieces")), str(track.get("whole"))]
        with open(self.path.with_suffix(".told"), "a") as told:
            told.write(" ".join(what) + "\n")

    def told(self):
        """Count how often each step was finished; of one that was followed by a kill at once it may not know."""
        return Counter(self.path.with_suffix(".told").read_text().splitlines())


class Conversion:
    """One film, and the track that is made for it, however often that is interrupted."""

    def __init__(self, ours, film, folder, **settings):
        self.ours, self.film, self.settings = ours, os.fsencode(film), settings
        self.temp = os.fsencode(folder / ".watcher-0123456789ab.tmp")
        self.checkpoints = InAFile(folder / "kept.json")

    async def make(self):
        before = await probe.probe(self.ours, self.film)
        settings = stereo.StereoSettings(**self.settings)
        return await stereo.make(self.ours, self.film, self.temp, before, MAKE, settings, checkpoints=self.checkpoints)

    def begin(self):
        """Make it in a child process: killed, it dies at once; told to end, it is cancelled."""
        child = os.fork()
        if child == 0:
            failed = 1
            try:
                asyncio.run(self._until_told())
                failed = 0
            finally:
                os._exit(failed)
        return child

    async def _until_told(self):
        task = asyncio.ensure_future(self.make())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await task

    def interrupt(self, after_sec, number):
        """Begin, and end it by a signal after so many seconds; tells whether it was done before."""
        child = self.begin()
        time.sleep(after_sec)
        os.kill(child, number)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status) == 0

    def until_made(self, rng, whole_sec):
        """Interrupt it at random, by a kill or by word, until it is made before; gives how often that was."""
        endings = 0
        while not self.interrupt(rng.uniform(0, whole_sec), rng.choice([signal.SIGKILL, signal.SIGTERM])):
            endings += 1
        return endings

    def result(self):
        """Give the result, byte for byte; of Matroska, which begins with a random number, all packets and their times."""
        if self.film.endswith(b".mp4"):
            with open(self.temp, "rb") as file:
                return file.read()
        command = [self.ours.ffmpeg, "-v", "error", "-i", self.temp, "-map", "0", "-c", "copy", "-f", "framehash", "-"]
        return subprocess.run(command, capture_output=True, check=True).stdout

    def forget(self):
        """Clear up, for another beginning."""
        os.unlink(self.temp)
        self.checkpoints.path.unlink()
        self.checkpoints.path.with_suffix(".told").unlink()
