"""Coming from the old tools: what they did is known, each file by itself, and nothing newer is overwritten."""

import json
import os

import pytest

from watcher.rules.statuses import IntegrityStatus as I
from watcher.rules.statuses import ProcessedStatus as P
from watcher.service import legacy
from watcher.service.legacy import Imported, Importer


@pytest.fixture
def take(bench):
    """Import data as the state file in the films' folder, or in a folder below it, would say it."""

    def take(data, folder=""):
        outcome = Imported()
        items = legacy.read(data, bench.path(folder).rstrip(b"/"), outcome)
        Importer(bench.engine, []).take(items, os.fsencode(bench.root), outcome)
        return outcome.to_dict()

    return take


def entry(status, **more):
    return {"file": "x", "status": status, "message": "said the old tool", "timestamp": "2023-05-01T12:00:00", **more}


@pytest.mark.parametrize(
    ("status", "expected", "reason", "rests"),
    [
        ("has_stereo", P.SKIPPED_HAS_EN2, "imported", True),
        ("converted", P.CONVERTED, "imported", True),
        ("conversion_failed", P.CONVERT_FAILED, "imported", False),
        ("error", P.CONVERT_FAILED, "imported", False),
        ("no_english", P.IGNORED, "no_english", True),
        ("no_audio", P.IGNORED, "no_audio", True),
        ("unknown", P.NEW, "", False),
    ],
)
def test_each_word_of_the_old_tools_has_its_status_here(bench, take, status, expected, reason, rests):
    """What they were through with rests; what failed or was never decided is looked at."""
    bench.write("film.mkv")
    assert take({str(bench.root / "film.mkv"): entry(status)}) == {
        "imported": 1, "skipped_existing": 0, "skipped_missing": 0, "errors": [],
    }  # fmt: skip
    found = bench.entry("film.mkv")
    assert (found.processed_status, found.integrity_status, found.reason) == (expected, I.UNKNOWN, reason)
    assert (found.next_check_at_ms is None) == rests


def test_lists_of_paths_are_films_that_were_converted(bench, take):
    for name in ("a.mkv", "b.mkv"):
        bench.write(name)
    assert take({"files": ["a.mkv", 7], "stats": {"ok": 1}, "last_update": "x"})["imported"] == 1
    assert take({"processed_files": ["b.mkv"]})["imported"] == 1
    assert {bench.entry(name).processed_status for name in ("a.mkv", "b.mkv")} == {P.CONVERTED}


def test_an_import_twice_and_a_file_named_twice_change_nothing(bench, take):
    bench.write("film.mkv")
    data = {"film.mkv": entry("converted"), str(bench.root / "film.mkv"): entry("no_english")}
    assert take(data)["skipped_existing"] == 1
    assert take(data) == {"imported": 0, "skipped_existing": 2, "skipped_missing": 0, "errors": []}
    assert bench.entry("film.mkv").processed_status is P.CONVERTED


def test_what_is_known_here_is_newer_and_stays(bench, take):
    bench.write("film.mkv")
    bench.see("film.mkv")
    for move in ("check_started", "check_passed", "has_stereo"):
        bench.engine.move(bench.entry("film.mkv"), move, next_at=None)
    assert take({"film.mkv": entry("error")})["skipped_existing"] == 1
    assert bench.entry("film.mkv").processed_status is P.SKIPPED_HAS_EN2


def test_a_file_a_scan_has_only_found_yet_takes_what_the_old_tools_knew(bench, take):
    bench.write("film.mkv")
    bench.see("film.mkv")
    assert take({"film.mkv": entry("converted")})["imported"] == 1
    assert bench.entry("film.mkv").processed_status is P.CONVERTED


@pytest.mark.parametrize(
    "path",
    [r"D:\Films\New\film.mkv", r"\\nas\films\New\film.mkv", r"New\film.mkv", "New/film.mkv", "./New/../New/film.mkv"],
)
def test_a_path_of_windows_is_found_by_its_end_and_a_relative_one_from_the_state_file(bench, take, path):
    bench.write("New/film.mkv")
    assert take({path: entry("converted")})["imported"] == 1
    assert bench.entry("New/film.mkv").processed_status is P.CONVERTED


def test_a_backslash_in_a_name_of_this_system_is_a_letter(bench, take):
    bench.write("odd\\name.mkv")
    assert take({str(bench.root / "odd\\name.mkv"): entry("converted")})["imported"] == 1


def test_the_file_an_old_tool_made_is_known_too(bench, take):
    bench.write("film.mkv")
    bench.write("film.stereo.mkv")
    take({"film.mkv": entry("converted", converted_file=str(bench.root / "film.stereo.mkv"))})
    assert bench.entry("film.stereo.mkv").processed_status is P.SKIPPED_HAS_EN2


def test_each_thing_that_cannot_be_made_out_spoils_only_itself(bench, take):
    bench.write("good.mkv")
    (bench.root / "folder.mkv").mkdir()
    outcome = take({
        "gone.mkv": entry("converted"), r"C:\gone.mkv": entry("converted"), "folder.mkv": entry("converted"),
        "text.mkv": "converted", "odd.mkv": entry("finished?"), "nul\0.mkv": entry("converted"), "": entry("converted"),
        "good.mkv": entry("converted"),
    })  # fmt: skip
    assert (outcome["imported"], outcome["skipped_missing"], len(outcome["errors"])) == (1, 3, 4)
    assert any("finished?" in error and "has_stereo" in error for error in outcome["errors"])
    for nothing in (None, [], "x", 3):
        assert len(take(nothing)["errors"]) == 1


async def test_state_files_are_found_below_a_folder_and_stay_where_they_are(tmp_path):
    """By the manager: two state files, one broken, and a root that is taken on with its films."""
    from watcher.config import StateConfig
    from watcher.service.manager import StateManager

    films = tmp_path / "films"
    (films / "sub").mkdir(parents=True)
    for name in ("a.mkv", "sub/b.mkv"):
        (films / name).write_bytes(b"film")
    (films / legacy.STATE_FILE).write_text('{"broken": ')
    (films / "sub" / legacy.STATE_FILE).write_text(json.dumps({"b.mkv": entry("converted")}))
    before = (films / "sub" / legacy.STATE_FILE).read_bytes()
    async with StateManager(StateConfig(storage_url=str(tmp_path / "watcher.db"))) as manager:
        outcome = await manager.migrate_legacy_state_files(films)
        more = await manager.import_legacy_results({"files": [str(films / "a.mkv"), str(films / "none.mkv")]})
        found = await manager.discover_directory(os.fsencode(films))
    assert (outcome["imported"], len(outcome["errors"])) == (1, 1)
    assert str(films / legacy.STATE_FILE) in outcome["errors"][0]
    assert (more["imported"], more["skipped_missing"]) == (1, 1)
    assert (found["discovered_files"], found["files_added"]) == (2, 0)
    assert (films / "sub" / legacy.STATE_FILE).read_bytes() == before
