"""One running service, real inotify and real FFmpeg: a film of each kind, handled rightly from the drop to its end."""

import os
import shutil
import subprocess
import time

import pytest
from films import film, kinds
from running import Service

from watcher.media import probe, tools


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Films of each kind, made once, outside the watched folder."""
    folder = tmp_path_factory.mktemp("made")
    return {name: film(folder / f"{name}.mkv", **kind) for name, kind in kinds.items()}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """One service for all journeys of this module."""
    folder = tmp_path_factory.mktemp("service")
    (folder / "films").mkdir()
    with Service(folder, folder / "films", quarantine_threshold=2) as service:
        yield service
    assert not [name for name in os.listdir(folder / "films") if name.startswith(".")]


@pytest.fixture
def drop(service):
    return service.folder / "films"


async def streams(path):
    found = await tools.find_tools()
    return (await probe.probe(found, os.fsencode(path))).streams


async def has_english_stereo(path):
    return any(s.kind == "audio" and s.channels == 2 and s.language == "eng" for s in await streams(path))


def copy_in_parts(source, target, pauses, *, reopen):
    """Copy a file in equal parts with a pause after each but the last."""
    content = source.read_bytes()
    size = len(content) // (len(pauses) + 1) + 1
    out = open(target, "wb")  # noqa: SIM115 - closed and opened again on the way
    for number, pause in enumerate([*pauses, 0]):
        out.write(content[number * size : (number + 1) * size])
        out.flush()
        if reopen and pause:
            out.close()
            time.sleep(pause)
            out = open(target, "ab")  # noqa: SIM115
        else:
            time.sleep(pause)
    out.close()


async def test_english_surround_gets_a_stereo_track(service, drop, made):
    shutil.copy(made["english_51"], drop / "surround.mkv")
    service.reaches(drop / "surround.mkv", "COMPLETE", "CONVERTED")
    assert await has_english_stereo(drop / "surround.mkv")
    assert service.moves(drop / "surround.mkv") == ["check_started", "check_passed", "converted"]


async def test_english_surround_in_mp4_gets_a_stereo_track(service, drop, tmp_path):
    made = film(tmp_path / "made.mp4", **kinds["english_51"])
    shutil.copy(made, drop / "in mp4.mp4")
    service.reaches(drop / "in mp4.mp4", "COMPLETE", "CONVERTED")
    assert await has_english_stereo(drop / "in mp4.mp4")


def test_english_stereo_is_left_as_it_is(service, drop, made):
    target = drop / "stereo.mkv"
    shutil.copy(made["english_stereo"], target)
    before = target.read_bytes(), os.stat(target).st_ino, os.stat(target).st_mtime_ns
    service.reaches(target, "COMPLETE", "SKIPPED_HAS_EN2")
    assert (target.read_bytes(), os.stat(target).st_ino, os.stat(target).st_mtime_ns) == before


async def test_commentary_is_no_stereo_track_and_the_surround_gets_one(service, drop, made):
    shutil.copy(made["commentary_only"], drop / "commentary.mkv")
    service.reaches(drop / "commentary.mkv", "COMPLETE", "CONVERTED")
    assert len([s for s in await streams(drop / "commentary.mkv") if s.kind == "audio"]) == 3


def test_a_german_film_is_ignored_with_the_reason(service, drop, made):
    shutil.copy(made["german"], drop / "german.mkv")
    service.reaches(drop / "german.mkv", "COMPLETE", "IGNORED", "no_english")


def test_a_sound_file_is_no_film(service, drop, tmp_path):
    sound = film(tmp_path / "sound.mkv", video=False)
    shutil.copy(sound, drop / "sound.mkv")
    shutil.copy(sound, drop / "sound.mka")
    service.reaches(drop / "sound.mkv", "COMPLETE", "IGNORED", "no_video")
    assert service.statuses(drop / "sound.mka") is None


def test_a_text_file_with_a_films_name_is_ignored(service, drop):
    (drop / "text.mkv").write_text("This is not a film.\n" * 5000)
    service.reaches(drop / "text.mkv", "INCOMPLETE", "IGNORED", "not_media")


def test_a_cut_film_is_incomplete_and_untouched(service, drop, made):
    content = made["english_51"].read_bytes()
    (drop / "cut.mkv").write_bytes(content[: len(content) * 6 // 10])
    service.reaches(drop / "cut.mkv", "INCOMPLETE", "NEW")
    assert (drop / "cut.mkv").read_bytes() == content[: len(content) * 6 // 10]


def test_a_cut_film_is_given_up_in_the_end_and_whole_again_when_it_is_replaced(service, drop, made):
    content = made["english_stereo"].read_bytes()
    (drop / "mended.mkv").write_bytes(content[: len(content) // 2])
    service.reaches(drop / "mended.mkv", "QUARANTINED")
    (drop / "mended.mkv").write_bytes(content)
    service.reaches(drop / "mended.mkv", "COMPLETE", "SKIPPED_HAS_EN2")


def test_a_slow_copy_with_pauses_longer_than_the_wait_is_not_judged_while_it_is_open(service, drop, made):
    target = drop / "slow.mkv"
    copy_in_parts(made["english_51"], target, [1.5, 1.5], reopen=False)
    service.reaches(target, "COMPLETE", "CONVERTED")
    assert service.moves(target) == ["check_started", "check_passed", "converted"]


def test_a_slow_copy_that_is_closed_and_reopened_may_be_judged_early_but_is_not_touched(service, drop, made):
    target = drop / "reopened.mkv"
    copy_in_parts(made["english_51"], target, [2, 2], reopen=True)
    assert target.read_bytes() == made["english_51"].read_bytes()
    service.reaches(target, "COMPLETE", "CONVERTED")
    assert service.moves(target).count("converted") == 1


def test_a_part_file_is_nothing_until_it_has_its_final_name(service, drop, made):
    shutil.copy(made["english_stereo"], drop / "download.mkv.part")
    time.sleep(1)
    assert service.statuses(drop / "download.mkv.part") is None
    os.rename(drop / "download.mkv.part", drop / "download.mkv")
    service.reaches(drop / "download.mkv", "COMPLETE", "SKIPPED_HAS_EN2")
    assert service.statuses(drop / "download.mkv.part") is None


def test_a_film_moved_in_from_another_file_system_is_taken(service, drop, made, tmp_path):
    other = "/dev/shm" if os.path.isdir("/dev/shm") else str(tmp_path)
    staged = os.path.join(other, f"watcher-test-{os.getpid()}.mkv")
    shutil.copy(made["english_stereo"], staged)
    shutil.move(staged, drop / "from elsewhere.mkv")
    service.reaches(drop / "from elsewhere.mkv", "COMPLETE", "SKIPPED_HAS_EN2")


def test_a_preallocated_file_is_waited_for_until_it_is_filled(service, drop, made):
    content = made["english_51"].read_bytes()
    target = drop / "preallocated.mkv"
    with open(target, "wb") as out:
        os.posix_fallocate(out.fileno(), 0, len(content))
    service.reaches(target, "INCOMPLETE", "NEW")
    with open(target, "r+b") as out:
        out.write(content[: len(content) // 2])
        out.flush()
        time.sleep(1)
        out.write(content[len(content) // 2 :])
    service.reaches(target, "COMPLETE", "CONVERTED")


ODD = [
    b"with space.mkv",
    b"quotes'\".mkv",
    b"new\nline.mkv",
    b"-leading dash.mkv",
    b"100%s %d.mkv",
    b"caf\xe9 \xff.mkv",
]


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_no_name_breaks_anything(service, drop, made, name):
    target = os.path.join(os.fsencode(drop), name)
    shutil.copy(made["english_51"], target)
    service.reaches(target, "COMPLETE", "CONVERTED")


def test_a_film_overwritten_while_it_is_checked_is_judged_by_its_last_content(service, drop, made, tmp_path):
    long = film(tmp_path / "long.mkv", seconds=20)
    target = drop / "overwritten.mkv"
    shutil.copy(long, target)
    service.until(lambda: (service.statuses(target) or ("",))[0] in ("PENDING", "COMPLETE"), "its check runs")
    shutil.copy(made["german"], target)
    service.reaches(target, "COMPLETE", "IGNORED", "no_english")


def test_a_film_deleted_while_it_waits_is_gone_and_nothing_more(service, drop, made):
    target = drop / "deleted.mkv"
    shutil.copy(made["english_51"], target)
    service.until(lambda: service.statuses(target) is not None, "it has a row")
    target.unlink()
    service.until(lambda: service.statuses(target) is None, "it is gone")
    assert "gone" in service.moves(target)


def test_a_folder_moved_in_with_its_films_is_taken(service, drop, made, tmp_path):
    (tmp_path / "Series" / "Season 1").mkdir(parents=True)
    shutil.copy(made["english_stereo"], tmp_path / "Series" / "Season 1" / "moved.mkv")
    os.rename(tmp_path / "Series", drop / "Series")
    service.reaches(drop / "Series" / "Season 1" / "moved.mkv", "COMPLETE", "SKIPPED_HAS_EN2")


def test_films_written_into_folders_made_a_moment_before_are_taken(service, drop, made):
    targets = []
    for number in range(10):
        folder = drop / f"fresh {number}" / "a" / "b"
        folder.mkdir(parents=True)
        os.link(made["german"], folder / "film.mkv") if _same_disk(made["german"], folder) else shutil.copy(
            made["german"], folder / "film.mkv"
        )
        targets.append(folder / "film.mkv")
    for target in targets:
        service.reaches(target, "COMPLETE", "IGNORED", "no_english")


def test_a_folder_that_is_deleted_takes_its_films_with_it(service, drop, made):
    (drop / "doomed" / "deep").mkdir(parents=True)
    shutil.copy(made["german"], drop / "doomed" / "deep" / "film.mkv")
    service.reaches(drop / "doomed" / "deep" / "film.mkv", "COMPLETE", "IGNORED")
    shutil.rmtree(drop / "doomed")
    service.until(lambda: service.statuses(drop / "doomed" / "deep" / "film.mkv") is None, "it is gone", timeout=10)


def test_a_folder_that_is_moved_away_takes_its_films_with_it(service, drop, made, tmp_path):
    (drop / "leaving" / "deep").mkdir(parents=True)
    shutil.copy(made["german"], drop / "leaving" / "deep" / "film.mkv")
    service.reaches(drop / "leaving" / "deep" / "film.mkv", "COMPLETE", "IGNORED")
    os.rename(drop / "leaving", tmp_path / "left")
    service.until(lambda: service.statuses(drop / "leaving" / "deep" / "film.mkv") is None, "it is gone", timeout=10)


def _same_disk(one, other):
    return os.stat(one).st_dev == os.stat(other).st_dev


def test_a_second_container_of_one_film_is_a_duplicate(service, drop, made):
    shutil.copy(made["english_stereo"], drop / "Twice.mkv")
    service.reaches(drop / "Twice.mkv", "COMPLETE", "SKIPPED_HAS_EN2")
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", drop / "Twice.mkv", "-map", "0:v", "-map", "0:a", "-c", "copy", drop / "Twice.mp4"],
        check=True,
    )  # fmt: skip
    service.reaches(drop / "Twice.mp4", "COMPLETE", "DUPLICATE")
    (drop / "Twice.mkv").unlink()
    service.reaches(drop / "Twice.mp4", "COMPLETE", "SKIPPED_HAS_EN2")


def test_the_log_has_one_json_line_for_each_move(service, drop):
    moves = [
        line
        for line in service.lines()
        if "from" in line and "to" in line and line["event"] not in ("gone", "back", "moved")
    ]
    assert all(not line["event"].startswith("not JSON") for line in service.lines())
    from watcher.store.store import StateStore

    with StateStore(service.database, read_only=True) as store:
        journal = store.sql("SELECT count(*) FROM journal WHERE subject <> 'path'").fetchone()[0]
    assert abs(len(moves) - journal) <= 1
