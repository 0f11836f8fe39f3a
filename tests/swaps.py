"""What the tests of swaps share: a film and its result as plain bytes, in each way a result can take its name."""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from watcher.media import replace
from watcher.media.replace import Keeping, Swap
from watcher.rules.signature import Signature
from watcher.service.conversions import Conversions
from watcher.service.jobs import Cancelled, Failed, JobSpec, Made
from watcher.service.landing import Landing, keeping
from watcher.service.recovery import Recovery
from watcher.service.temps import Temps

if TYPE_CHECKING:
    from helpers import Bench

OLD, NEW = b"the film as it was" * 100, b"the film with its new track" * 100
FORMS = ("in_place", "kept", "sidecar", "sidecar_again", "instead", "instead_kept")
"""In the film's place, the old content kept; beside it, for the first time or again; under another container's name."""


def read(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def write(path: bytes, content: bytes) -> None:
    with open(path, "wb") as out:
        out.write(content)


def signature(path: bytes) -> Signature:
    return Signature.of(os.lstat(path))


def nobody(_: bytes) -> None:
    return None


def somebody(_: bytes) -> str:
    return "it is open for writing (lease)"


def names(folder: bytes) -> list[bytes]:
    return sorted(os.listdir(folder))


def make_swap(folder: bytes, form: str) -> Swap:
    """Put a film and its proved result into a folder, as they stand before a swap of this form."""
    film = os.path.join(folder, b"Film.avi" if form.startswith("instead") else b"Film.mkv")
    write(film, OLD)
    target = {"sidecar": b"Film.stereo.mkv", "instead": b"Film.mkv"}.get(form.partition("_")[0])
    target = film if target is None else os.path.join(folder, target)
    if form == "sidecar_again":
        write(target, b"the sidecar of before")
    temp = replace.temp_path(film, "0123456789ab")
    write(temp, NEW)
    os.chmod(temp, 0o600)
    return Swap(
        film,
        signature(film),
        temp,
        target,
        replaces=signature(target) if form in ("in_place", "kept", "sidecar_again") else None,
        removes_film=form.startswith("instead"),
        kept=replace.kept_path(film) if form.endswith("kept") else None,
    )


def done(swap: Swap) -> dict[bytes, bytes]:
    """Give what the folder must hold after a swap: name -> content."""
    tree = {swap.film: OLD, swap.target: NEW}
    if swap.removes_film:
        del tree[swap.film]
    if swap.kept is not None:
        tree[swap.kept] = OLD
    return _by_name(tree)


def undone(swap: Swap) -> dict[bytes, bytes]:
    """Give what the folder must hold when a swap did not come about."""
    before = {swap.target: b"the sidecar of before"} if swap.replaces and swap.target != swap.film else {}
    return _by_name({swap.film: OLD, **before})


def tree(swap: Swap) -> dict[bytes, bytes]:
    """Give what the folder holds: name -> content."""
    folder = os.path.dirname(swap.film)
    return {name: read(os.path.join(folder, name)) for name in os.listdir(folder)}


def swap_all(swap: Swap, keeping: Keeping = Keeping()) -> Signature:  # noqa: B008 - frozen
    replace.prepare(swap, keeping, nobody)
    return replace.place(swap, nobody)


class Flight:
    """A conversion in the service's hands, up to the point where its result is made: row, attempt and temporary file."""

    def __init__(self, bench: Bench, form: str, folder: bytes = b"") -> None:
        self.bench = bench
        os.makedirs(bench.path(folder), exist_ok=True)
        self.swap = make_swap(bench.path(folder), form)
        bench.see(os.path.relpath(self.swap.film, os.fsencode(bench.root)))
        entry = self.entry()
        with bench.engine.turn():
            for move in ("check_started", "check_passed"):
                bench.engine.move(entry, move, next_at=1)
            if form == "sidecar_again":
                bench.see(os.path.basename(self.swap.target))
                bench.store.update_entry(bench.store.entry_at(self.swap.target), made_from=entry.id)
            swap = self.swap
            self.spec = JobSpec(
                "0123456789ab", entry.id, "convert", swap.film, swap.source, 60, probe={}, decision={},
                target=swap.target, replaces=swap.replaces, temp=swap.temp, removes_film=swap.removes_film, kept=swap.kept,
            )  # fmt: skip
            bench.engine.begin_attempt(self.spec)
        self.temps = Temps()
        self.temps.hold(self.spec.attempt_id, self.swap.temp)

    def entry(self):
        """Give the film's row, wherever its file is now."""
        found = self.bench.store.entry_at(self.swap.film) if not hasattr(self, "spec") else None
        return found or self.bench.store.entry(self.spec.entry_id)

    async def land(self) -> list[str]:
        """Bring the result in as the service does; gives the attempts that could not be cleared up."""
        return await land(self.bench, self.spec, self.temps)

    async def in_store(self, call, *arguments):
        with self.bench.engine.turn():
            return call(*arguments)


async def land(bench: Bench, spec: JobSpec, temps: Temps | None = None) -> list[str]:
    """Bring a made result in as the service does; gives the attempts that could not be cleared up."""
    landing, adopted = landing_of(bench, temps or Temps())
    await landing.land(Made(spec, {"hash": "x"}))
    return adopted


async def end(flight: Flight, outcome: Failed | Cancelled) -> list[str]:
    """End a conversion without a result."""
    landing, adopted = landing_of(flight.bench, flight.temps)
    await landing.ended(outcome)
    return adopted


def landing_of(bench: Bench, temps: Temps) -> tuple[Landing, list[str]]:
    """Give the service's landing, and the list of what it could not clear up."""

    async def in_store(call, *arguments):
        with bench.engine.turn():
            return call(*arguments)

    adopted: list[str] = []
    conversions = Conversions(bench.engine)
    return Landing(
        conversions, lambda: keeping(bench.engine.config), temps, in_store, adopted.append, threading.Event()
    ), adopted


async def recovered(bench: Bench) -> Recovery:
    """Do what the next start does before anything else."""

    async def in_store(call, *arguments):
        return call(*arguments)

    recovery = Recovery(bench.engine, bench.checks, Conversions(bench.engine), in_store)
    await recovery.open()
    await recovery.settle(bench.root_id)
    return recovery


def _by_name(paths: dict[bytes, bytes]) -> dict[bytes, bytes]:
    return {os.path.basename(path): content for path, content in paths.items()}


@contextmanager
def mounted(folder, *options):
    """Mount something on a folder; needs root."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", *options, folder], check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
