"""What a saved step costs, and kill -9 at many random instants of a job that saves its steps.

    python tests/bench/bench_operations.py [--kills 300] [--folder DIR]

Printed: milliseconds and CPU milliseconds a step, beside writing the same bytes without making them last; how many kills
hit a job at work. A kill that left a broken state, or had a finished step done again, ends the run with an error.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "crash"))

from test_operations_killed import killed_at_random

from watcher.operations import TranscodeOperation, UniversalStateManager

STEPS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        film = Path(folder) / "film.mkv"
        film.write_bytes(b"film")
        manager = UniversalStateManager(TranscodeOperation("vbr", film))
        manager.update_step("begin")
        content = manager.state_file.read_bytes()
        bare = measure(lambda number: (film.parent / "bare").write_bytes(content))
        saved = measure(lambda number: manager.update_step("encode", number / STEPS))
        print(f"a step: {saved[0]:.2f} ms, {saved[1]:.2f} ms of CPU; a plain write: {bare[0]:.2f} ms, {bare[1]:.2f} ms")
        manager.cleanup_state()

        seed = hits = 0
        while hits < args.kills:
            seed += 1
            operation = TranscodeOperation("vbr", film, extra_args={"seed": seed})
            hits += killed_at_random(operation, Path(folder), args.kills - hits, seed)
            UniversalStateManager(operation).cleanup_state()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(film.parent / "ledger")
        print(
            f"kills that hit a job at work: {hits}, of {seed} jobs; every state was whole, no finished step done again"
        )


def measure(step: object) -> tuple[float, float]:
    began, cpu = time.perf_counter(), time.process_time()
    for number in range(STEPS):
        step(number)
    return (time.perf_counter() - began) / STEPS * 1000, (time.process_time() - cpu) / STEPS * 1000


if __name__ == "__main__":
    main()
