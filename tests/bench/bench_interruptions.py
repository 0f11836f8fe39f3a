"""Kills a converting service many times, at random instants of every step, and says what came of it.

    python tests/bench/bench_interruptions.py [--kills 200] [--seed 1]

Each film is killed until it is done, then the next one; each kill is followed by a look at the state file, and each film
in the end by a comparison of its packets with those of one that was let be. Anything that is lost, done twice or left
over ends the run with an error.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "real")]

from films import film  # noqa: E402
from interrupting import Interrupting, hashes, instants  # noqa: E402


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    dice, killed = random.Random(chosen.seed), collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        made = film(Path(folder) / "made.mkv", seconds=24)
        calm, films = None, 0
        while sum(killed.values()) < chosen.kills or calm is None:
            here = Path(folder) / str(films)
            here.mkdir()
            shutil.copy(made, here / "copy.mkv")
            one = Interrupting(here, here / "copy.mkv", read_times=24)
            if calm is not None:
                for step, after_sec in instants(dice, min(10, chosen.kills - sum(killed.values())), 0.8):
                    if not one.interrupt(step, after_sec):
                        break
                    killed[one.seen[-1].current_step if one.seen else "before"] += 1
            if not one.is_done():
                one.finish()
            found = hashes(one.film)
            calm = calm or found
            assert found == calm, f"film {films} is another one than the first"
            assert os.listdir(one.films) == ["film.mkv"], os.listdir(one.films)
            assert one.service.moves(one.film).count("converted") == 1
            films += 1
            print(f"{sum(killed.values())} kills, {films - 1} films: {dict(killed)}", flush=True)


if __name__ == "__main__":
    main()
