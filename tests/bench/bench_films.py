"""What checking and converting costs above FFmpeg itself: the service beside the bare commands, in one run.

    python tests/bench/bench_films.py [--films 10] [--seconds 30] [--folder DIR]

The service works a folder of films off and its FFmpeg commands are written down; then the films are put back and the
same commands are run one after another by themselves. Printed: CPU and wall time of both, and the calls a film. The
service's start (finding FFmpeg, opening the database) is not counted; its Python is.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from films import film, kinds

from watcher.config import StateConfig
from watcher.media import ffmpeg
from watcher.service import log
from watcher.service.manager import StateManager


def cpu() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


async def with_service(top: Path, root: Path) -> tuple[float, float, list[list[str | bytes]]]:
    commands: list[list[str | bytes]] = []
    plain = ffmpeg.run

    async def noted(argv: list[str | bytes], **options: object) -> ffmpeg.Finished:
        commands.append(list(argv))
        return await plain(argv, **options)

    config = StateConfig(
        storage_url=str(top / "watcher.db"), stable_wait_sec=0, settle_sec=0, integrity_quick_mode=True
    )
    async with StateManager(config) as manager:
        ffmpeg.run = noted
        used, began = cpu(), time.perf_counter()
        await manager.discover_directory(os.fsencode(root))
        await manager.work_off()
        taken = cpu() - used, time.perf_counter() - began, commands
        ffmpeg.run = plain
    return taken


def bare(commands: list[list[str | bytes]]) -> tuple[float, float]:
    used, began = cpu(), time.perf_counter()
    for argv in commands:
        subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return cpu() - used, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    log.set_up("warning", "pretty", sys.stderr)
    top = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        made = film(top / "made.mkv", seconds=options.seconds, **kinds["english_51"])
        root = top / "films"
        root.mkdir()

        def put_back() -> None:
            for number in range(options.films):
                shutil.copy(made, root / f"{number}.mkv")

        put_back()
        service_cpu, service_wall, commands = asyncio.run(with_service(top, root))
        put_back()
        bare_cpu, bare_wall = bare(commands)
        calls = Counter(Path(os.fsdecode(argv[0])).name for argv in commands)
        print(
            f"{options.films} films of {options.seconds:g} s; calls a film: { ({n: c / options.films for n, c in calls.items()}) }"
        )
        print(f"bare commands {bare_cpu:7.2f} CPU s  {bare_wall:7.2f} s")
        print(f"the service   {service_cpu:7.2f} CPU s  {service_wall:7.2f} s")
        print(f"ratio         {service_cpu / bare_cpu:7.2f}        {service_wall / bare_wall:7.2f}")
    finally:
        shutil.rmtree(top)


if __name__ == "__main__":
    main()
