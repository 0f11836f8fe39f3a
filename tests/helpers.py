"""What several tests build on: a clock that is told the time, an engine on a real database, trees as dicts."""

from __future__ import annotations

import os
import random
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from watcher.config import StateConfig
from watcher.rules.signature import Signature
from watcher.service.checks import Checks
from watcher.service.engine import Engine
from watcher.service.intake import Intake, Sighting
from watcher.store.store import StateStore

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    """A wall clock that stands until it is moved."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


class Bench:
    """Store, engine and intake on one real folder, without threads or FFmpeg."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.root = folder / "films"
        self.root.mkdir(exist_ok=True)
        self.clock = Clock()
        self.store = StateStore(folder / "watcher.db")
        self.engine = Engine(self.store, StateConfig(**settings), random.Random(1), self.clock)
        self.checks = Checks(self.engine)
        self.intake = Intake(self.engine)
        self.root_id = self.store.root_at(os.fsencode(self.root)).id

    def path(self, name: str | bytes) -> bytes:
        return os.path.join(os.fsencode(self.root), os.fsencode(name))

    def write(self, name: str | bytes, content: bytes = b"film") -> bytes:
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def see(self, *names: str | bytes, evidence: str = "", hinted: bool = True):
        """Let intake see these names as they are on disk now."""
        sightings = []
        for name in names:
            folder, _, base = os.fsencode(name).rpartition(b"/")
            sighting = Sighting(folder, evidence=evidence, hinted=hinted)
            try:
                seen = Signature.of(os.lstat(self.path(name)))
            except FileNotFoundError:
                sighting.gone.append(base)
            else:
                raw = (seen.device, seen.inode, seen.size_bytes, seen.mtime_ns, seen.blocks)
                sighting.files.append((base, raw))
            sightings.append(sighting)
        return self.intake.take(self.root_id, sightings)

    def entry(self, name: str | bytes):
        return self.store.entry_at(self.path(name))

    def journal(self, name: str | bytes) -> list[str]:
        rows = self.store.sql("SELECT move FROM journal WHERE entry_id = ? ORDER BY id", (self.entry(name).id,))
        return [row[0] for row in rows]


def make_files(root: Path, tree: dict[str, bytes]) -> None:
    """Write a tree given as {relative path: content}."""
    for name, content in tree.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


@contextmanager
def small_disk(folder: Path, kilobytes: int):
    """Mount a disk of this size on a new folder, for as long as it is used; skips the test where that is not allowed."""
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", folder], capture_output=True, check=False
    ).returncode:
        pytest.skip("only root may mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
