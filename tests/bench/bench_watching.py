"""What watching costs: a storm of new films beside watchdog's own observer, and a walk beside a bare one.

    python tests/bench/bench_watching.py [--storm 20000] [--walk 100000] [--rounds 3] [--folder DIR]

Storm: a child process creates, writes and closes so many films in 200 folders, as fast as it can; both ways of
watching see the same storms, in turn, in this process, with the same kinds of events and the same test of names; CPU
is that of this process alone. "seen" counts films of which anything was heard: what was not is left to the scan.
Walk: `scan.walk` with all its rules beside `os.scandir` and one `stat` a file, on the same warm tree, in turn.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from functools import partial

from watchdog import events
from watchdog.observers.inotify import InotifyObserver

from watcher.rules import names
from watcher.rules.debounce import Debouncer, HintKind
from watcher.watch import scan
from watcher.watch.observers import Observers

FOLDERS = 200
WATCHDOG = "watchdog's observer"
CREATE = """
import os, sys
root, count, folders = os.fsencode(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for number in range(count):
    file = os.open(b"%s/d%d/Some film %d (2012) 1080p.mkv" % (root, number % folders, number), os.O_CREAT | os.O_WRONLY)
    os.write(file, b"film")
    os.close(file)
"""
is_film_name = partial(names.is_film_name, extensions=names.DEFAULT_EXTENSIONS)


class Handler(events.FileSystemEventHandler):
    """Does what ours does with an event: ask for the name, append."""

    def __init__(self):
        self.seen = []

    def on_any_event(self, event):
        path = os.fsencode(getattr(event, "dest_path", "") or event.src_path)
        if event.is_directory or is_film_name(path.rpartition(b"/")[2]):
            self.seen.append((event.event_type, path))


def watch_with_watchdog(root, storm):
    handler = Handler()
    observer = InotifyObserver()
    observer.start()
    kinds = [
        *(events.DirCreatedEvent, events.DirMovedEvent, events.DirDeletedEvent),
        *(events.FileCreatedEvent, events.FileMovedEvent, events.FileClosedEvent, events.FileDeletedEvent),
    ]
    observer.schedule(handler, root, recursive=True, event_filter=kinds)
    began = time.process_time()
    storm(lambda: len(handler.seen))
    cpu = time.process_time() - began
    observer.stop()
    observer.join()
    return cpu, {path for kind, path in handler.seen}, 0


def watch_with_ours(root, storm, debounce=False):
    """Drained by the main thread whenever it is woken, as the service does; `debounce` adds the merging of hints."""
    woken = threading.Event()
    observers = Observers(woken.set)
    observers.add(1, os.fsencode(root), is_film_name)
    debouncer = Debouncer(2, 30, 100_000)
    hints = []

    def take():
        woken.wait(0.05)
        woken.clear()
        found = observers.drain()
        hints.extend(found)
        if debounce:
            now = time.monotonic()
            for hint in found:
                debouncer.hint(hint.root_id, hint.path, hint.kind, now)
        return len(hints)

    began = time.process_time()
    storm(take)
    cpu = time.process_time() - began
    if debounce:
        began = time.process_time()
        debouncer.due(time.monotonic() + 100)
        cpu += time.process_time() - began
    observers.stop()
    overflows = sum(hint.kind is HintKind.OVERFLOW for hint in hints)
    return cpu, {hint.path for hint in hints if hint.path}, overflows


def run_storm(watch, parent, count):
    root = tempfile.mkdtemp(dir=parent)
    for number in range(FOLDERS):
        os.mkdir(f"{root}/d{number}")

    def storm(progress):
        child = subprocess.Popen([sys.executable, "-c", CREATE, root, str(count), str(FOLDERS)])
        before, still_since = -1, time.monotonic()
        while child.poll() is None or time.monotonic() - still_since < 1:
            now = progress()
            if now != before:
                before, still_since = now, time.monotonic()
            time.sleep(0.02)

    cpu, seen, overflows = watch(root, storm)
    shutil.rmtree(root)
    return cpu, len(seen), overflows


def bare_walk(top):
    count, waiting = 0, [top]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    entry.stat(follow_symlinks=False)
                    count += 1
    return count


def our_walk(top):
    return sum(len(listing.files) for listing in scan.walk(top, names.NameRules()))


def make_tree(parent, count):
    root = os.fsencode(tempfile.mkdtemp(dir=parent))
    for number in range(count):
        folder = b"%s/Series %d/Season %d" % (root, number // 1000, number // 100 % 10)
        if number % 100 == 0:
            os.makedirs(folder, exist_ok=True)
        os.close(os.open(b"%s/Some episode %d 1080p.mkv" % (folder, number), os.O_CREAT | os.O_WRONLY))
    return root


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--storm", type=int, default=20_000, help="films created at once")
    options.add_argument("--walk", type=int, default=100_000, help="films in the tree that is walked")
    options.add_argument("--rounds", type=int, default=3, help="how often each is measured; the best counts")
    options.add_argument("--folder", default=None, help="where to make the trees (default: the temporary folder)")
    chosen = options.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)  # watchdog's, about watches added twice

    ways = {
        WATCHDOG: watch_with_watchdog,
        "our observers": watch_with_ours,
        "ours, debounced": partial(watch_with_ours, debounce=True),
    }
    best = dict.fromkeys(ways, float("inf"))
    print(f"storm of {chosen.storm} films in {FOLDERS} folders")
    for _ in range(chosen.rounds):
        for name, watch in ways.items():
            cpu, seen, overflows = run_storm(watch, chosen.folder, chosen.storm)
            best[name] = min(best[name], cpu)
            print(
                f"  {name:20} {cpu:6.2f} CPU s  {cpu / chosen.storm * 1e6:6.1f} us a film  seen {seen}  overflows {overflows}"
            )
    for name in list(ways)[1:]:
        print(f"  {name}: {best[name] / best[WATCHDOG]:.2f} times watchdog's CPU")

    print(f"walk over {chosen.walk} films")
    root = make_tree(chosen.folder, chosen.walk)
    walks = {"bare scandir + stat": bare_walk, "scan.walk": our_walk}
    best = dict.fromkeys(walks, float("inf"))
    for _ in range(chosen.rounds + 1):
        for name, walk in walks.items():
            began = time.process_time()
            found = walk(root)
            best[name] = min(best[name], time.process_time() - began)
            assert found == chosen.walk
    for name, cpu in best.items():
        print(f"  {name:20} {cpu:6.2f} CPU s  {cpu / chosen.walk * 1e6:6.1f} us a film")
    print(f"  scan.walk: {best['scan.walk'] / best['bare scandir + stat']:.2f} times the bare walk")
    shutil.rmtree(root)


if __name__ == "__main__":
    main()
