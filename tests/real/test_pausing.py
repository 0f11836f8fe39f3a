"""A service that is paused by another process: what runs stands still, what comes is noticed, and nothing is lost by it."""

import json
import os
import shutil
import signal
import time

import pytest
from films import film, kinds
from running import Service, slow_ffmpeg
from stopping import ticks


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    return film(tmp_path_factory.mktemp("made") / "long.mkv", seconds=40)


@pytest.fixture(scope="module")
def german(tmp_path_factory):
    return film(tmp_path_factory.mktemp("made") / "german.mkv", **kinds["german"])


@pytest.fixture
def service(tmp_path, monkeypatch):
    (tmp_path / "films").mkdir()
    monkeypatch.setenv("WATCHER_CONFIG", str(tmp_path / "config.json"))
    service = Service(
        tmp_path, tmp_path / "films", loop_interval_sec=20, ffmpeg={"ffmpeg": str(slow_ffmpeg(tmp_path, 12))}
    )
    yield service
    if service._process is not None:
        service.stop()


@pytest.fixture
def drop(service):
    return service.folder / "films"


@pytest.fixture
def said(call):
    """Give what a command answers; in this process, for FFmpeg does not wait."""

    def said(*words):
        code, out, err = call(*words)
        assert (code, err) == (0, "")
        return out

    return said


def working_child(service):
    """Give an FFmpeg child of the service that has used some time, and reads all of a film; None when there is none yet."""
    with open(f"/proc/{service.pid}/task/{service.pid}/children") as children:
        for child in children.read().split():
            try:
                with open(f"/proc/{child}/comm") as name:
                    if name.read().strip() == "ffmpeg" and ticks(child) > 5:
                        return child
            except (FileNotFoundError, ProcessLookupError):  # ended before its file was opened, or before it was read
                continue
    return None


def stands_still(child):
    before = ticks(child)
    time.sleep(0.5)
    with open(f"/proc/{child}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "T" and ticks(child) == before


def events(service, name):
    return [line for line in service.lines() if line["event"] == name]


def test_a_conversion_stands_still_within_a_second_and_over_a_restart_until_it_is_resumed(
    service, drop, long, german, said
):
    """Meanwhile another film is noticed, and not touched; in the end each has what it needs, once."""
    shutil.copy(long, drop / "film.mkv")
    service.start()
    service.reaches(drop / "film.mkv", "COMPLETE", "NEW")
    service.until(lambda: working_child(service), "FFmpeg works", timeout=60)
    child = working_child(service)
    began = time.monotonic()
    assert said("pause", "--reason", "film night") == "paused until somebody resumes it: film night\n"
    assert time.monotonic() - began < 5, "the service was told, and did not wait for its beat"
    assert stands_still(child)
    shutil.copy(german, drop / "other.mkv")
    service.until(lambda: service.statuses(drop / "other.mkv"), "the other is noticed")
    assert "film night" in said("status")
    assert json.loads(said("status", "--json"))["running_jobs"][0]["kind"] == "convert"
    began = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - began < 10, "what stands still ends as fast as what runs"
    assert not os.path.exists(f"/proc/{child}")

    service.start()
    time.sleep(4)
    assert working_child(service) is None
    assert service.statuses(drop / "other.mkv")[0] == "UNKNOWN"
    assert said("resume") == "resumed\n"
    service.reaches(drop / "other.mkv", "COMPLETE", "IGNORED")
    service.reaches(drop / "film.mkv", "COMPLETE", "CONVERTED", timeout=120)
    assert service.moves(drop / "film.mkv").count("converted") == 1
    assert [line["reason"] for line in events(service, "resumed")] == ["a person asked"]
    assert [name for name in os.listdir(drop) if name.startswith(".")] == []


def test_a_pause_of_two_seconds_ends_by_itself(service, drop, long, said):
    """Long before the next beat of the loop, and a check that stood still goes on where it was."""
    service.config.write_text(
        service.config.read_text().replace('"integrity_quick_mode": true', '"integrity_quick_mode": false')
    )
    shutil.copy(long, drop / "film.mkv")
    service.start()
    service.until(lambda: working_child(service), "FFmpeg works", timeout=60)
    child = working_child(service)
    said("pause", "--for", "2s")
    assert stands_still(child)
    service.until(lambda: events(service, "resumed"), "it goes on", timeout=10)
    assert events(service, "resumed")[0]["reason"] == "its time is over"
    service.reaches(drop / "film.mkv", "COMPLETE", timeout=60)
    assert service.moves(drop / "film.mkv").count("check_started") == 1


def test_a_pause_outlives_a_kill(service, drop, german, said):
    """And whoever wished for its end while nothing ran gets it."""
    service.start()
    said("pause")
    service.stop(signal.SIGKILL)
    shutil.copy(german, drop / "film.mkv")
    service.start()
    service.until(lambda: service.statuses(drop / "film.mkv"), "it is noticed")
    time.sleep(3)
    assert service.statuses(drop / "film.mkv")[0] == "UNKNOWN"
    service.stop(signal.SIGKILL)
    assert "no service runs now" in said("resume")
    service.start()
    service.reaches(drop / "film.mkv", "COMPLETE", timeout=60)
