"""The work itself: what the disk would refuse is found before FFmpeg is started, and jobs share the space that is free."""

import dataclasses
import errno
import os
import subprocess

import pytest
from swaps import Flight, mounted, read, tree, undone

from watcher.errors import ConversionFailed
from watcher.service import work
from watcher.service.jobs import Failed
from watcher.service.temps import Temps

DECISION = {"outcome": "make", "reason": "", "sentence": "", "source": 1}
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
MB = 1 << 20


@pytest.fixture
def flight(bench):
    flight = Flight(bench, "in_place")
    os.unlink(flight.swap.temp)
    return flight


def spec_of(flight, **changes):
    probe = {"streams": [], "format": {"duration": "1"}}
    return dataclasses.replace(flight.spec, probe=probe, decision=DECISION, **changes)


async def outcome(flight, spec=None, tools=None):
    """Do a job; without tools nothing could be started."""
    return await work.Worker(tools, lambda: flight.bench.engine.config, Temps()).do(
        spec or spec_of(flight), lambda _: None
    )


@root_only
async def test_a_folder_on_a_read_only_disk_is_named_before_any_work(tmp_path, bench_on):
    """It is tried again for as long as it takes, and each try costs nothing."""
    with mounted(tmp_path / "films", "-t", "tmpfs", "tmpfs") as mount:
        flight = Flight(bench_on(tmp_path), "in_place")
        os.unlink(flight.swap.temp)
        subprocess.run(["mount", "-o", "remount,ro", mount], check=True)
        failed = await outcome(flight)
        assert (failed.reason, tree(flight.swap)) == ("read_only", undone(flight.swap))


@root_only
async def test_an_immutable_film_is_named_before_any_work(flight):
    if subprocess.run(["chattr", "+i", flight.swap.film], check=False, capture_output=True).returncode != 0:
        pytest.skip("no immutable files here")
    try:
        failed = await outcome(flight)
    finally:
        subprocess.run(["chattr", "-i", flight.swap.film], check=True)
    assert failed.reason == "immutable"
    assert "chattr -i" in failed.detail


@root_only
@pytest.mark.parametrize(("written_mb", "enough"), [(0, False), (60, True)])
async def test_what_another_job_still_needs_is_not_free(tmp_path, bench_on, monkeypatch, written_mb, enough):
    """And what it has written already is not counted twice."""
    with mounted(tmp_path / "films", "-t", "tmpfs", "-o", f"size={(195 if written_mb == 0 else 256)}m", "tmpfs"):
        flight = Flight(bench_on(tmp_path), "in_place")
        os.unlink(flight.swap.temp)
        size = dataclasses.replace(flight.spec.signature, size_bytes=60 * MB)
        first = spec_of(flight, signature=size)
        second = spec_of(flight, signature=size, attempt_id="b" * 12, temp=flight.bench.path(".watcher-second.tmp"))
        worker = work.Worker(None, lambda: flight.bench.engine.config, Temps())
        found = []

        async def make(worker, spec, temp, *_):
            if temp == first.temp:
                with open(temp, "wb") as out:
                    out.write(b"x" * (written_mb * MB))
                found.append(await worker.do(second, lambda _: None))
            raise ConversionFailed("enough", "")

        monkeypatch.setattr(work.Worker, "_make", make)
        monkeypatch.setattr(work, "_failed", lambda spec, error: Failed(spec, error.reason, ""))
        await worker.do(first, lambda _: None)
        assert found[0].reason == ("enough" if enough else "no_space")
        assert read(flight.swap.film) == undone(flight.swap)[b"Film.mkv"]


@pytest.mark.parametrize(
    ("code", "reason"), [(None, "enough"), (errno.ESTALE, "io_error"), (errno.ENOENT, "source_changed")]
)
async def test_a_film_that_its_drive_does_not_show_has_not_changed(flight, monkeypatch, code, reason):
    """What FFmpeg says of it is the drive's fault then, and what was made of its track is kept."""

    async def make(*_):
        if code is not None:
            monkeypatch.setattr(os, "lstat", lambda path: (_ for _ in ()).throw(OSError(code, os.strerror(code), path)))
        raise ConversionFailed("enough", "")

    monkeypatch.setattr(work.Worker, "_make", make)
    assert (await outcome(flight)).reason == reason
