"""A storm of files into a watched folder: the whole service beside watchdog alone with the same filter.

    python tests/bench/bench_storm.py [--files 20000] [--folder DIR]

Each side is a process of its own; the files are made by this one, as fast as it can. Printed: the CPU seconds of each
side, how many files it came to know, and how long that took. Watchdog alone counts events and does nothing else.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path


def watch_with_watchdog(root: str, ready: object, done: object, answer: object) -> None:
    from watchdog.events import (
        DirCreatedEvent,
        DirDeletedEvent,
        DirMovedEvent,
        FileClosedEvent,
        FileCreatedEvent,
        FileDeletedEvent,
        FileMovedEvent,
        FileSystemEventHandler,
    )  # fmt: skip
    from watchdog.observers import Observer

    names = set()

    class Count(FileSystemEventHandler):
        def on_any_event(self, event: object) -> None:
            names.add(event.src_path)

    wanted = [
        DirCreatedEvent, DirDeletedEvent, DirMovedEvent, FileClosedEvent, FileCreatedEvent, FileDeletedEvent, FileMovedEvent,
    ]  # fmt: skip
    observer = Observer()
    observer.schedule(Count(), root, recursive=True, event_filter=wanted)
    observer.start()
    ready.set()
    done.wait()
    last = -1
    while len(names) != last:
        last = len(names)
        time.sleep(1)
    answer.put((sum(os.times()[:2]), len([name for name in names if name.endswith(".mkv")])))


def watch_with_service(root: str, ready: object, done: object, answer: object) -> None:
    import asyncio

    from watcher.config import StateConfig
    from watcher.service import log
    from watcher.service.manager import StateManager

    log.set_up("error", "json")
    database = str(Path(root).parent / "watcher.db")
    config = StateConfig(
        storage_url=database, stable_wait_sec=86_400, settle_sec=86_400, watch=[{"path": root, "mode": "events"}]
    )

    async def run() -> None:
        async with StateManager(config) as manager:
            watching = asyncio.create_task(manager.start_monitoring())
            while not manager.is_compared():
                await asyncio.sleep(0.01)
            ready.set()
            await asyncio.to_thread(done.wait)
            last, count = -1, 0
            while count != last or not count:
                await asyncio.sleep(1)
                last, count = count, known(database)
            manager.stop()
            await watching
            answer.put((sum(os.times()[:2]), count))

    def known(path: str) -> int:
        with sqlite3.connect(path) as reader:
            return reader.execute("SELECT count(*) FROM file_entry").fetchone()[0]

    asyncio.run(run())


def measure(side: object, files: int, folder: Path | None) -> tuple[float, int, float]:
    context = multiprocessing.get_context("spawn")
    top = Path(tempfile.mkdtemp(dir=folder))
    root = top / "films"
    root.mkdir()
    ready, done, answer = context.Event(), context.Event(), context.Queue()
    child = context.Process(target=side, args=(str(root), ready, done, answer))
    child.start()
    ready.wait()
    began = time.perf_counter()
    for number in range(files):
        if number % 1000 == 0:
            (root / str(number)).mkdir()
        with open(root / str(number - number % 1000) / f"{number}.mkv", "wb") as film:
            film.write(b"x")
    done.set()
    cpu, count = answer.get()
    took = time.perf_counter() - began
    child.join()
    shutil.rmtree(top)
    return cpu, count, took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    alone = measure(watch_with_watchdog, options.files, options.folder)
    service = measure(watch_with_service, options.files, options.folder)
    for name, (cpu, count, took) in (("watchdog alone", alone), ("the service", service)):
        print(f"{name:16} {cpu:6.2f} CPU s  knows {count} of {options.files} files  after {took:5.1f} s")
    print(
        f"the service takes {service[0] / alone[0]:.2f} times the CPU of watchdog alone (start-up and imports of both included)"
    )


if __name__ == "__main__":
    main()
