"""What can be resumed in a folder, what is broken, what is cleared away; and the same from a command line of argparse."""

import argparse
import contextlib
import json
import os
import shutil
import time

import pytest

from watcher.errors import StateNotSaved
from watcher.operations import (
    StateAwareOperation,
    TranscodeOperation,
    UniversalStateManager,
    add_state_management_args,
    cleanup_completed_states,
    find_resumable_operations,
    handle_state_cli,
    places,
    resume_operation_from_state,
)

DAY = 86_400


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.mkv"
    path.write_bytes(b"film")
    return path


def unfinished(film, kind="vbr", **settings):
    manager = UniversalStateManager(TranscodeOperation(kind, film, **settings))
    manager.update_step("probe")
    manager.update_step("encode", 40)
    manager.release()
    return manager.state_file


def completed(film, kind, days_ago=0.0):
    manager = UniversalStateManager(TranscodeOperation(kind, film))
    manager.mark_completed(success=True)
    manager.release()
    document = json.loads(manager.state_file.read_text())
    document["end_time"] = document["saved_at"] = time.time() - days_ago * DAY
    manager.state_file.write_text(json.dumps(document))
    return manager.state_file


@pytest.fixture
def older(film):
    """A state of the older shape, as other programs wrote it: no version, the stem only, null for what was not given."""
    path = film.parent / ".lazy_transcode_state" / "film_vbr.state.json"
    path.parent.mkdir()
    document = {
        "operation": {
            "operation_type": "vbr",
            "input_file": str(film),
            "output_file": None,
            "encoder": "x265",
            "encoder_type": "software",
            "preset": None,
            "target_vmaf": 95.0,
            "vmaf_tolerance": 1.0,
            "clip_positions": [60, 120],
            "clip_duration": 30,
            "target_qp": None,
            "quality_threshold": None,
            "preserve_hdr": None,
            "non_destructive": None,
            "dry_run": None,
            "extra_args": {"debug": False},
        },
        "operation_id": "film_vbr_1693824000",
        "start_time": 1693824000.0,
        "current_step": "vbr_optimization",
        "steps_completed": ["initialization", "clip_extraction"],
        "progress_percent": 75.0,
        "clips_extracted": True,
        "optimization_results": {"22": 95.1},
        "best_result": None,
        "completed": False,
        "success": False,
        "error_message": None,
        "end_time": None,
        "saved_at": 1693824100.0,
        "host": "nas",
    }
    path.write_text(json.dumps(document, indent=2))
    return path


OLDER = {"encoder": "x265", "encoder_type": "software", "target_vmaf": 95.0, "vmaf_tolerance": 1.0}


# --- finding


def test_unfinished_operations_are_listed_and_others_not(film):
    """With the documented keys; of one type if asked for."""
    path = unfinished(film)
    completed(film, "qp")
    unfinished(film.with_name("other.mkv"), "auto")
    found = find_resumable_operations(film.parent, operation_type="vbr")
    started = found[0].pop("start_time")
    assert time.time() - 60 < started <= time.time()
    assert found == [
        {
            "state_file": str(path),
            "operation_type": "vbr",
            "input_file": str(film),
            "current_step": "encode",
            "progress_percent": 40.0,
            "operation_id": TranscodeOperation("vbr", film).operation_id,
            "error_message": None,
            "held_by": None,
            "broken": None,
        }
    ]
    assert [one["operation_type"] for one in find_resumable_operations(str(film.parent))] == ["vbr", "auto"]
    assert find_resumable_operations(film.parent / ".watcher_state") == find_resumable_operations(film.parent)


def test_folders_below_are_searched_only_when_asked_to(film):
    inner = film.parent / "season 1" / "film.mkv"
    inner.parent.mkdir()
    unfinished(inner)
    assert find_resumable_operations(film.parent) == []
    (found,) = find_resumable_operations(film.parent, recursive=True)
    assert found["input_file"] == str(inner)


def test_a_folder_that_is_not_there_is_no_empty_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        find_resumable_operations(tmp_path / "none")


BROKEN = {
    "empty": (b"", "it is empty"),
    "zeros after a power cut": (b"\0" * 100, "it is empty"),
    "cut": (b'{"schema_version": 1, "oper', "it is no JSON"),
    "no text": (b"\xff\xfe\x00", "it is no JSON"),
    "nested": (b"[" * 100_000, "it is no JSON"),
    "list": (b"[]", "it holds no object"),
    "no operation": (b"{}", "operation is no object"),
    "no input": (b'{"operation": {"operation_type": "vbr"}}', "operation.input_file is missing"),
    "newer": (b'{"schema_version": 2}', "a newer version of the program wrote it (shape 2; this one knows 1)"),
    "steps": (
        b'{"operation": {"operation_type": "vbr", "input_file": "/a"}, "start_time": 1, "steps_completed": [1]}',
        "steps_completed holds something that is no text",
    ),
    "type": (
        b'{"operation": {"operation_type": "vbr", "input_file": "/a"}, "start_time": 1, "completed": "no"}',
        "completed is a str",
    ),
    "no number": (b'{"start_time": NaN}', "it is no JSON (NaN is no number)"),
    "half a letter": (b'{"data": "\\ud800"}', "it.data is '\\ud800', which is no text"),
    "half nested": (b'{"data": ' + b"[" * 900 + b"]" * 900 + b"}", "it is nested too deeply"),
    "no time": (
        b'{"operation": {"operation_type": "vbr", "input_file": "/a"}, "start_time": 1e300}',
        "start_time is 1e+300, which is no time",
    ),
    "no path": (
        b'{"operation": {"operation_type": "vbr", "input_file": "/a", "output_file": 5}, "start_time": 1}',
        "output_file is a int, and must be text",
    ),
    "no size": (
        b'{"operation": {"operation_type": "vbr", "input_file": "/a"}, "start_time": 1, "input_seen": {"mtime_ns": "x"}}',
        "input_seen holds something that is no whole number",
    ),
    "no start": (b'{"operation": {"operation_type": "vbr", "input_file": "/a"}}', "start_time is missing"),
}


@pytest.mark.parametrize(("content", "why"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_listed_as_broken_and_survives(film, content, why, caplog):
    """Whatever type is asked for. It is not resumed, and the operation begins anew beside it."""
    path = unfinished(film)
    path.write_bytes(content)
    (found,) = find_resumable_operations(film.parent, operation_type="qp")
    assert (found["state_file"], found["operation_id"]) == (str(path), None)
    assert why in found["broken"]
    assert resume_operation_from_state(path) is None
    assert why in caplog.text

    with StateAwareOperation(TranscodeOperation("vbr", film)) as manager:
        assert manager.state.current_step == "initialization"
        manager.update_step("probe")
    assert path.read_bytes() == content
    assert cleanup_completed_states(film.parent, 0) == 0


@pytest.mark.parametrize(
    "make", [os.mkfifo, os.mkdir, lambda path: os.symlink(path, path)], ids=["pipe", "folder", "loop"]
)
def test_what_is_no_file_under_the_name_of_a_state_holds_nobody_up(film, make):
    """It is listed as broken; the operation works beside it."""
    path = unfinished(film)
    path.unlink()
    make(path)
    (found,) = find_resumable_operations(film.parent)
    assert found["broken"] == "it is no regular file"
    manager = UniversalStateManager(TranscodeOperation("vbr", film))
    assert not manager.load_state()
    manager.update_step("probe")
    assert manager.state_file != path


@pytest.mark.parametrize("which", [places.LOCK, places.NEW], ids=["lock", "new"])
def test_a_pipe_beside_a_state_holds_nobody_up(film, which):
    """Whoever put it there."""
    path = unfinished(film)
    os.mkfifo(os.fsencode(path) + which)
    (found,) = find_resumable_operations(film.parent)
    assert found["held_by"] is None
    manager = UniversalStateManager(TranscodeOperation("vbr", film))
    assert manager.load_state()
    with contextlib.suppress(StateNotSaved):
        manager.update_step("mux")


@pytest.mark.parametrize("folder", [".watcher_state", ".lazy_transcode_state"])
def test_a_file_in_the_place_of_a_state_folder_holds_no_state(film, folder):
    """Nothing is found there, and only what must be written there is refused, in a sentence."""
    (film.parent / folder).write_text("a file")
    manager = UniversalStateManager(TranscodeOperation("vbr", film))
    assert not manager.load_state()
    if folder == ".watcher_state":
        with pytest.raises(
            StateNotSaved, match=r"Not a directory; nothing was saved before\. Move away what stands there"
        ):
            manager.update_step("probe")
    else:
        manager.update_step("probe")


def test_a_name_that_is_too_long_for_the_older_shape_has_no_older_state(tmp_path):
    """The folder of the older shape may be there, for the other films."""
    (tmp_path / ".lazy_transcode_state").mkdir()
    film = tmp_path / ("n" * 246 + ".mkv")
    film.write_bytes(b"film")
    manager = UniversalStateManager(TranscodeOperation("vbr", film))
    assert not manager.load_state()
    manager.update_step("probe")
    assert resume_operation_from_state(manager.state_file).state.current_step == "probe"


# --- resuming


def test_an_operation_is_resumed_from_its_file(film):
    """With everything that described it; what is told then goes to the same file."""
    path = unfinished(film, encoder="x265", extra_args={"crf": 20})
    manager = resume_operation_from_state(str(path))
    assert manager.operation == TranscodeOperation("vbr", str(film), encoder="x265", extra_args={"crf": 20})
    assert (manager.state.current_step, manager.state.steps_completed) == ("encode", ["probe"])
    manager.update_step("mux")
    assert manager.state_file == path
    assert json.loads(path.read_text())["current_step"] == "mux"


def test_there_is_nothing_to_resume_without_a_file_or_with_another_film(film, caplog):
    """None, and the log says which."""
    path = unfinished(film)
    assert resume_operation_from_state(path.with_name("none.state.json")) is None
    assert "there is no such file" in caplog.text
    film.write_bytes(b"a better copy")
    assert resume_operation_from_state(path) is None
    assert "is another file than before" in caplog.text


def test_fields_that_are_not_ours_are_kept(film):
    """Of the document and of the operation, through loading and saving."""
    path = unfinished(film)
    document = json.loads(path.read_text())
    document["reviewer"] = {"name": "me"}
    document["operation"]["tune"] = "grain"
    path.write_text(json.dumps(document))
    resume_operation_from_state(path).update_step("mux")
    after = json.loads(path.read_text())
    assert (after["reviewer"], after["operation"]["tune"]) == ({"name": "me"}, "grain")


def test_the_older_shape_is_found_and_resumed(film, older):
    """In its own place, and with everything it knew; it is gone when the work is done."""
    (found,) = find_resumable_operations(film.parent)
    assert (found["state_file"], found["progress_percent"]) == (str(older), 75.0)
    with StateAwareOperation(TranscodeOperation("vbr", film, **OLDER)) as manager:
        assert manager.state_file == older
        assert (manager.state.current_step, manager.state.clips_extracted) == ("vbr_optimization", True)
        assert manager.state.optimization_results == {"22": 95.1}
        manager.update_step("encode", 80)
        after = json.loads(older.read_text())
        assert (after["schema_version"], after["host"], after["current_step"]) == (1, "nas", "encode")
        assert after["operation"]["clip_positions"] == [60, 120]
        assert resume_operation_from_state(older).state.progress_percent == 80.0
    assert os.listdir(film.parent) == ["film.mkv"]


@pytest.mark.parametrize(
    "change", [{"encoder": "x264"}, {"target_vmaf": 90.0}, {"preset": "slow"}, {"preserve_hdr": False}], ids=str
)
def test_the_older_shape_of_another_job_is_left_alone(film, older, change):
    """It has no identity; every setting that it knows must agree."""
    content = older.read_bytes()
    assert not UniversalStateManager(TranscodeOperation("vbr", film, **{**OLDER, **change})).load_state()
    assert older.read_bytes() == content


def test_two_films_that_share_a_stem_do_not_share_an_older_state(film, older):
    other = film.with_suffix(".mp4")
    shutil.copy(film, other)
    assert not UniversalStateManager(TranscodeOperation("vbr", other, **OLDER)).load_state()


def test_a_completed_older_state_is_cleared_away(film, older):
    document = json.loads(older.read_text())
    older.write_text(json.dumps({**document, "completed": True, "success": True}))
    assert find_resumable_operations(film.parent) == []
    assert cleanup_completed_states(film.parent, 30) == 1
    assert os.listdir(film.parent) == ["film.mkv"]


# --- clearing away


def test_only_completed_states_of_that_age_go(film):
    """0 days means all of them; the unfinished stay, and so does what somebody works on."""
    fresh, old = completed(film, "qp"), completed(film, "auto", days_ago=8)
    path = unfinished(film)
    assert cleanup_completed_states(film.parent, 7) == 1
    assert (fresh.exists(), old.exists()) == (True, False)
    held = UniversalStateManager(TranscodeOperation("mine", film))
    held.mark_completed(success=True)
    assert cleanup_completed_states(film.parent, 0) == 1
    assert path.exists()
    assert held.state_file.exists()
    held.release()
    assert cleanup_completed_states(film.parent, 0) == 1
    with pytest.raises(ValueError, match="-1 days is no age"):
        cleanup_completed_states(film.parent, -1)


# --- argparse


@pytest.fixture
def parse():
    parser = argparse.ArgumentParser()
    add_state_management_args(parser)
    return lambda *words: parser.parse_args(words)


def test_a_script_with_the_options_goes_on_when_they_ask_for_nothing_else(film, parse, capsys):
    assert not handle_state_cli(parse(), film.parent)
    assert not handle_state_cli(parse("--resume"), film)
    assert parse("--resume").resume is True
    assert capsys.readouterr().out == ""


def test_a_script_lists_interrupted_work_for_people(film, parse, capsys):
    """Every name on one line, whatever its bytes; broken files are named with the reason."""
    odd = os.path.join(os.fsencode(film.parent), b"odd\n\x1b[31m\xff.mkv")
    path = unfinished(odd)
    broken = unfinished(film)
    broken.write_bytes(b"")
    assert handle_state_cli(parse("--list-resumable"), film)
    out = capsys.readouterr().out
    assert "broken" in out
    assert "it is empty" in out
    assert r"odd\n\x1b[31m\xff.mkv" in out
    assert "40.0 %, at encode, begun 0.0 h ago" in out
    assert not {"\x1b", "\udcff"} & set(out)
    path.unlink()
    broken.unlink()
    assert handle_state_cli(parse("--list-resumable"), film.parent)
    assert capsys.readouterr().out == f"no interrupted work in {film.parent}\n"


def test_a_script_clears_old_records_away(film, parse, capsys):
    """0 is an age like any other."""
    completed(film, "qp")
    assert handle_state_cli(parse("--cleanup-old-states", "3"), film.parent)
    assert handle_state_cli(parse("--cleanup-old-states", "0"), film.parent)
    assert capsys.readouterr().out.splitlines() == [
        "removed 0 records of completed work",
        "removed 1 record of completed work",
    ]
    with pytest.raises(SystemExit):
        parse("--cleanup-old-states", "-1")
