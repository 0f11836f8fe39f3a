"""Stopped, killed and started again: the work is done once, nothing is left over, nothing is missed."""

import os
import shutil
import signal
import threading
import time

import pytest
from films import film, kinds
from running import Service

from watcher.store.store import StateStore


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    films = {name: film(folder / f"{name}.mkv", **kinds[name]) for name in ("english_51", "english_stereo", "german")}
    films["long"] = film(folder / "long.mkv", seconds=30)
    return films


@pytest.fixture
def service(tmp_path):
    (tmp_path / "films").mkdir()
    service = Service(tmp_path, tmp_path / "films")
    yield service
    if service._process is not None:
        service.stop()


@pytest.fixture
def drop(service):
    return service.folder / "films"


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [int(child) for child in children.read().split()]


def attempts(service):
    with StateStore(service.database, read_only=True) as store:
        return [(attempt.kind, attempt.temp) for attempt in store.attempts()]


def hidden(folder):
    return [name for name in os.listdir(folder) if name.startswith(".")]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT], ids=lambda how: how.name)
def test_a_stop_in_the_middle_of_a_check_loses_and_repeats_nothing(service, drop, made, how):
    shutil.copy(made["long"], drop / "film.mkv")
    service.config.write_text(
        service.config.read_text().replace('"integrity_quick_mode": true', '"integrity_quick_mode": false')
    )
    service.start()
    service.reaches(drop / "film.mkv", "PENDING")
    service.until(lambda: attempts(service) and attempts(service)[0][0] == "check", "the check runs")
    began = time.monotonic()
    code = service.stop(how)
    assert code == (-9 if how is signal.SIGKILL else 0)
    assert time.monotonic() - began < 10
    service.start()
    service.reaches(drop / "film.mkv", "COMPLETE", "CONVERTED", timeout=120)
    assert service.moves(drop / "film.mkv").count("check_passed") == 1
    assert service.moves(drop / "film.mkv").count("converted") == 1
    assert attempts(service) == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_a_stop_in_the_middle_of_a_conversion_leaves_the_film_whole_and_is_made_up_for(service, drop, made, how):
    shutil.copy(made["long"], drop / "film.mkv")
    before = (drop / "film.mkv").read_bytes()
    service.start()
    service.until(lambda: any(name.endswith(".state.json") for name in hidden(drop)), "a track is made", timeout=90)
    service.stop(how)
    assert (drop / "film.mkv").read_bytes() == before
    assert hidden(drop), "what is done is kept"
    service.start()
    service.reaches(drop / "film.mkv", "COMPLETE", "CONVERTED", timeout=120)
    assert hidden(drop) == []
    assert service.moves(drop / "film.mkv").count("converted") == 1


def test_no_ffmpeg_outlives_a_killed_service(service, drop, made):
    shutil.copy(made["long"], drop / "film.mkv")
    service.start()
    service.until(lambda: hidden(drop) and children_of(service.pid), "a conversion runs", timeout=90)
    children = children_of(service.pid)
    service.stop(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while any(os.path.exists(f"/proc/{child}") for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [child for child in children if os.path.exists(f"/proc/{child}")]


def test_a_finished_film_is_left_alone_after_a_restart(service, drop, made):
    shutil.copy(made["english_51"], drop / "film.mkv")
    service.start()
    service.reaches(drop / "film.mkv", "COMPLETE", "CONVERTED")
    service.stop()
    before = os.stat(drop / "film.mkv"), service.moves(drop / "film.mkv")
    shutil.copy(made["german"], drop / "of the next day.mkv")
    service.start()
    service.reaches(drop / "of the next day.mkv", "COMPLETE", "IGNORED")
    assert (os.stat(drop / "film.mkv").st_mtime_ns, os.stat(drop / "film.mkv").st_ino) == (
        before[0].st_mtime_ns, before[0].st_ino,
    )  # fmt: skip
    assert service.moves(drop / "film.mkv") == before[1]


def test_what_happened_while_the_service_was_down_is_found(service, drop, made):
    for name in ("renamed", "deleted"):
        shutil.copy(made["english_stereo"], drop / f"{name}.mkv")
    service.start()
    for name in ("renamed", "deleted"):
        service.reaches(drop / f"{name}.mkv", "COMPLETE", "SKIPPED_HAS_EN2")
    with StateStore(service.database, read_only=True) as store:
        identity = store.entry_at(os.fsencode(drop / "renamed.mkv")).id
    service.stop()
    for number in range(3):
        shutil.copy(made["german"], drop / f"dropped {number}.mkv")
    os.rename(drop / "renamed.mkv", drop / "new name.mkv")
    os.unlink(drop / "deleted.mkv")
    service.start()
    for number in range(3):
        service.reaches(drop / f"dropped {number}.mkv", "COMPLETE", "IGNORED", "no_english")
    service.reaches(drop / "new name.mkv", "COMPLETE", "SKIPPED_HAS_EN2")
    service.until(lambda: service.statuses(drop / "deleted.mkv") is None, "the deleted one is gone")
    with StateStore(service.database, read_only=True) as store:
        assert store.entry_at(os.fsencode(drop / "new name.mkv")).id == identity
    assert service.moves(drop / "new name.mkv").count("check_started") == 1
    assert service.moves(drop / "deleted.mkv")[-1] == "gone"


def test_films_dropped_while_the_service_starts_are_all_found(service, drop, made):
    done = threading.Event()
    dropped = []

    def drop_films():
        while not done.is_set():
            shutil.copy(made["german"], drop / f"{len(dropped)}.mkv")
            dropped.append(drop / f"{len(dropped)}.mkv")
            time.sleep(0.1)

    dropper = threading.Thread(target=drop_films)
    dropper.start()
    try:
        service.start()
        time.sleep(1)
    finally:
        done.set()
        dropper.join()
    for path in dropped:
        service.until(lambda path=path: service.statuses(path) is not None, f"{path} has a row", timeout=20)


def test_a_wish_made_while_the_service_is_down_is_carried_out_when_it_is_up(service, drop, made):
    from watcher.store.store import add_request

    content = made["english_stereo"].read_bytes()
    (drop / "film.mkv").write_bytes(content[: len(content) // 2])
    with Service(service.folder, drop, quarantine_threshold=1) as service:
        service.reaches(drop / "film.mkv", "QUARANTINED")
        service.stop()
        add_request(service.database, "release", os.fsencode(drop / "film.mkv"), 1)
        service.start()
        service.until(lambda: "released" in service.moves(drop / "film.mkv"), "it is released")


def test_an_unmounted_root_is_suspended_and_nothing_of_it_is_gone(service, drop, made, tmp_path):
    import subprocess

    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "none", drop], check=False).returncode:
        pytest.skip("needs to mount")
    mounted = True
    try:
        shutil.copy(made["english_stereo"], drop / "film.mkv")
        service.start()
        service.reaches(drop / "film.mkv", "COMPLETE", "SKIPPED_HAS_EN2")
        subprocess.run(["umount", "-l", drop], check=True)
        mounted = False
        service.until(lambda: any(line["event"] == "root suspended" for line in service.lines()), "it is suspended")
        assert "gone" not in service.moves(drop / "film.mkv")
        assert service.statuses(drop / "film.mkv") == (
            "COMPLETE",
            "SKIPPED_HAS_EN2",
            service.statuses(drop / "film.mkv")[2],
        )
    finally:
        if mounted:
            subprocess.run(["umount", "-l", drop], check=True)


def test_a_second_service_on_the_same_database_is_refused_by_the_pid_of_the_first(service, drop):
    service.start()
    other = Service(service.folder, drop)
    other.log = service.folder / "other.log"
    other.start(wait=False)
    assert other._process.wait(20) == 1
    assert f"process {service.pid}" in other.log.read_text()
