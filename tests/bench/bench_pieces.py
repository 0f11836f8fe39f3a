"""A conversion ended again and again, by kill -9 or by word, at random instants: is what comes of it what one go gives?

    python tests/bench/bench_pieces.py [--kills 200] [--container mp4|mkv] [--codec aac|ac3|opus] [--seconds 6] [--ffmpeg PATH]

Printed: how often it was ended, in how many conversions, how often a finished step was made again (never), and how many
results were another than that of one go (none).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from films import Audio, film
from interrupted import Conversion

from watcher.media import pieces, tools


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--container", default="mp4")
    parser.add_argument("--codec", default="aac")
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--ffmpeg", default="")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    # Pieces of a second: a film of seconds has several then.
    pieces.SHORTEST_SEC, pieces.WARM_UP = 1.2, 47
    ours, rng = asyncio.run(tools.find_tools(options.ffmpeg)), random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="pieces-") as name:
        folder = Path(name)
        made = film(folder / f"film.{options.container}", seconds=options.seconds, audio=(Audio("eng", 6),))
        work = Conversion(ours, made, folder, codec=options.codec)
        began = time.monotonic()
        asyncio.run(work.make())
        whole_sec, result, once = time.monotonic() - began, work.result(), work.checkpoints.told()
        work.forget()
        print(
            f"FFmpeg {ours.version}: {options.container}, {options.codec}, {len(once)} checkpoints, {whole_sec:.1f} s"
        )
        ended = rounds = again = others = 0
        while ended < options.kills:
            ended += work.until_made(rng, whole_sec)
            asyncio.run(work.make())
            rounds += 1
            again += not work.checkpoints.told() <= once
            others += work.result() != result
            work.forget()
        print(f"ended {ended} times in {rounds} conversions; steps made again: {again}; other results: {others}")
    sys.exit(int(bool(again or others)))


if __name__ == "__main__":
    main()
