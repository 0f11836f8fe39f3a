"""What a large library costs: first scan, unchanged re-scan, start-up and idling, beside a bare walk of the same tree.

    python tests/bench/bench_library.py [--files 100000] [--idle 60] [--folder DIR]

Makes a tree of empty-looking films (sparse, 1 KiB) in a temporary folder, and prints ratios measured in one run. The
walk is `os.scandir` and one `stat` a file. CPU is that of this process, which runs the service.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

from watcher.config import StateConfig
from watcher.service import log
from watcher.service.manager import StateManager


def make_tree(root: Path, files: int) -> None:
    for number in range(files):
        folder = root / f"Series {number // 1000:04}" / f"Season {number // 100 % 10:02}"
        if number % 100 == 0:
            folder.mkdir(parents=True, exist_ok=True)
        with open(folder / f"Episode {number:07}.mkv", "wb") as film:
            film.truncate(1024)


def bare_walk(top: bytes) -> int:
    count = 0
    pending = [top]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    entry.stat(follow_symlinks=False)
                    count += 1
    return count


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def rss_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def written_bytes() -> int:
    line = next(x for x in Path("/proc/self/io").read_text().splitlines() if x.startswith("wchar"))
    return int(line.split()[1])


def best(call, times: int = 3) -> float:
    found = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return min(found)


async def scan(config: StateConfig, root: bytes) -> float:
    async with StateManager(config) as manager:
        began = time.perf_counter()
        await manager.discover_directory(root)
        return time.perf_counter() - began


async def idle(config: StateConfig, seconds: float) -> None:
    manager = StateManager(config)
    began = time.perf_counter()
    async with manager:
        watching = asyncio.create_task(manager.start_monitoring())
        while not manager.is_watching():
            await asyncio.sleep(0.005)
        print(f"ready to watch after           {time.perf_counter() - began:8.2f} s")
        while not manager.is_compared():
            await asyncio.sleep(0.005)
        print(f"compared with the database     {time.perf_counter() - began:8.2f} s")
        await asyncio.sleep(3)
        used, wrote, began = cpu(), written_bytes(), time.perf_counter()
        await asyncio.sleep(seconds)
        share = 100 * (cpu() - used) / (time.perf_counter() - began)
        print(
            f"idle for {seconds:g} s: {share:.3f} % of a core, {written_bytes() - wrote} bytes written, {rss_mb():.0f} MB RSS"
        )
        manager.stop()
        await watching


def settings(top: Path) -> StateConfig:
    # Nothing becomes due while we look: the waiting time is a day.
    watch = [{"path": str(top / "films"), "mode": "events"}]
    return StateConfig(storage_url=str(top / "watcher.db"), stable_wait_sec=86_400, watch=watch)


def run_idle(top: Path, seconds: float) -> None:
    log.set_up("warning", "pretty", sys.stderr)
    asyncio.run(idle(settings(top), seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--idle", type=float, default=60)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    log.set_up("warning", "pretty", sys.stderr)
    top = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        root = top / "films"
        root.mkdir()
        make_tree(root, options.files)
        config = settings(top)
        walk = best(lambda: bare_walk(os.fsencode(root)))
        print(f"bare walk of {options.files} files      {walk:8.2f} s")
        first = asyncio.run(scan(config, os.fsencode(root)))
        print(f"first scan                     {first:8.2f} s  {first / walk:5.2f} times the walk")
        again = min(asyncio.run(scan(config, os.fsencode(root))) for _ in range(3))
        walk = min(walk, best(lambda: bare_walk(os.fsencode(root))))
        print(f"unchanged re-scan              {again:8.2f} s  {again / walk:5.2f} times the walk")
        # In a process of its own, so that nothing the scans left behind is counted.
        child = multiprocessing.get_context("spawn").Process(target=run_idle, args=(top, options.idle))
        child.start()
        child.join()
    finally:
        shutil.rmtree(top)


if __name__ == "__main__":
    main()
