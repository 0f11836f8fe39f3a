"""The state of an operation: its file, what it promises to a job, and to the next process."""

import argparse
import errno
import json
import os
import resource
import shutil
import signal
import threading
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.errors import NotStorable, OperationError, OperationHeld, StateNotSaved
from watcher.operations import TranscodeOperation, UniversalStateManager, document, find_resumable_operations, places

KEYS = {
    *("schema_version", "operation", "operation_id", "current_step", "steps_completed", "progress_percent"),
    *("clips_extracted", "optimization_results", "best_result", "completed", "success", "error_message"),
    *("start_time", "end_time", "saved_at", "data", "input_seen", "command"),
}


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.mkv"
    path.write_bytes(b"film")
    return path


def states(folder):
    return sorted(path.name for path in (folder / ".watcher_state").glob("*.state.json"))


def saved(manager):
    return json.loads(manager.state_file.read_text())


def reloaded(operation, **options):
    manager = UniversalStateManager(operation, **options)
    assert manager.load_state()
    return manager


def in_a_child(work):
    """Run in a process of its own; give its exit code."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = work() or 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# --- the file


def test_making_a_manager_writes_nothing_and_what_was_saved_survives_it(film):
    """A second manager of the same operation leaves the state of the first alone until it loads it."""
    operation = TranscodeOperation("vbr", film)
    UniversalStateManager(operation)
    assert os.listdir(film.parent) == ["film.mkv"]

    UniversalStateManager(operation).update_step("encode", 40)
    second = UniversalStateManager(operation)
    assert saved(second)["current_step"] == "encode"
    assert second.load_state()
    assert (second.state.current_step, second.state.progress_percent) == ("encode", 40.0)


def test_the_file_stands_beside_the_film_under_its_whole_name(film):
    """It has the documented keys; `a.mkv` and `a.mp4` are two, and so are two types."""
    manager = UniversalStateManager(TranscodeOperation("vbr", str(film), preset="slow"))
    manager.save_state()
    assert manager.state_file == film.parent / ".watcher_state" / "film.mkv_vbr.state.json"
    document = saved(manager)
    assert set(document) == KEYS
    assert document["schema_version"] == 1
    assert document["operation"]["preset"] == "slow"
    assert document["operation"]["input_file"] == str(film)

    UniversalStateManager(TranscodeOperation("qp", film)).save_state()
    UniversalStateManager(TranscodeOperation("vbr", film.with_suffix(".mp4"))).save_state()
    assert states(film.parent) == ["film.mkv_qp.state.json", "film.mkv_vbr.state.json", "film.mp4_vbr.state.json"]


@given(
    name=st.binary(min_size=1, max_size=254).filter(lambda name: not {47, 0} & set(name) and name not in (b".", b"..")),
    kind=st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=16),
    apart=st.booleans(),
)
def test_any_name_gives_a_name_that_file_systems_take(name, kind, apart):
    """However long, with room for the lock and the next version; another name gives another one."""
    folder = b"/films"
    operation = TranscodeOperation(kind, os.fsdecode(os.path.join(folder, name)))
    give = places.path_apart if apart else places.state_path
    path = give(operation)
    assert len(os.path.basename(path) + places.LOCK) <= 255
    assert path.endswith(b".state.json")
    other = TranscodeOperation(
        kind, os.fsdecode(os.path.join(folder, name[:-1] + (b"x" if name[-1:] != b"x" else b"y")))
    )
    assert give(other) != path


@pytest.mark.parametrize("name", [b"x" * 250 + b".mkv", "ü".encode() * 125 + b".mkv", b"\xff\n\x1b'\" \\.mkv"])
def test_films_of_any_name_are_resumed(tmp_path, name):
    """254 bytes, and bytes that are no text: the state is found again, and names the film exactly."""
    film = os.path.join(os.fsencode(tmp_path), name)
    operation = TranscodeOperation("vbr", film)
    UniversalStateManager(operation).update_step("encode")
    assert reloaded(operation).state.current_step == "encode"
    (found,) = find_resumable_operations(tmp_path)
    assert os.fsencode(found["input_file"]) == film


def test_a_state_folder_of_ones_own_keeps_films_of_one_name_apart(tmp_path):
    """Nothing is written beside the films; two folders' `film.mkv` have two states."""
    own = tmp_path / "states"
    own.mkdir()
    operations = [TranscodeOperation("vbr", tmp_path / folder / "film.mkv") for folder in ("a", "b")]
    for number, operation in enumerate(operations):
        os.mkdir(os.path.dirname(operation.input_file))
        UniversalStateManager(operation, state_dir=own).update_step(f"step {number}")
    assert [reloaded(one, state_dir=own).state.current_step for one in operations] == ["step 0", "step 1"]
    assert {one["input_file"] for one in find_resumable_operations(own)} == {one.input_file for one in operations}
    assert not list(tmp_path.glob("*/.watcher_state"))


def test_a_relative_path_does_not_depend_on_where_the_next_program_starts(film, monkeypatch):
    """It is stored absolute, and is the same operation as the absolute one."""
    monkeypatch.chdir(film.parent)
    UniversalStateManager(TranscodeOperation("vbr", "film.mkv", "out.mkv")).update_step("encode")
    monkeypatch.chdir("/")
    manager = reloaded(TranscodeOperation("vbr", film, film.with_name("out.mkv")))
    assert saved(manager)["operation"]["output_file"] == str(film.with_name("out.mkv"))


# --- which operation it is


@pytest.mark.parametrize(
    "change",
    [{"preset": "fast"}, {"encoder": "x264"}, {"target_vmaf": 95.0}, {"dry_run": True}, {"extra_args": {"crf": 20}}],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_setting_is_another_operation_and_both_keep_their_state(film, change):
    """The new one begins anew, beside the other; each is resumed as it was."""
    before = TranscodeOperation("vbr", film, preset="slow")
    changed = TranscodeOperation("vbr", film, **{"preset": "slow", **change})
    UniversalStateManager(before).update_step("encode", 90)

    other = UniversalStateManager(changed)
    assert not other.load_state()
    other.update_step("probe")

    assert reloaded(before).state.progress_percent == 90.0
    assert reloaded(changed).state.current_step == "probe"
    assert len(states(film.parent)) == 2


def test_the_same_job_has_the_same_identity_whoever_describes_it(film):
    """Path or text, tuple or list, in whatever order."""
    one = TranscodeOperation("vbr", film, extra_args={"a": (1, 2), "b": film})
    other = TranscodeOperation("vbr", str(film), extra_args={"b": str(film), "a": [1, 2]})
    assert one == other
    assert one.operation_id == other.operation_id
    assert {one: "known"}[other] == "known"


def test_an_option_that_is_none_is_one_that_was_not_given(film):
    """A program hands on what it did not get; the file has no other word for it."""
    given_none = TranscodeOperation("vbr", film, None, extra_args=None, preserve_hdr=None, dry_run=None)
    assert given_none == TranscodeOperation("vbr", film)
    UniversalStateManager(given_none).update_step("encode")
    assert reloaded(given_none).state.current_step == "encode"


@pytest.mark.parametrize(
    "given_",
    [{"extra_args": [1]}, {"input_file": ""}, {"input_file": None}, {"input_file": "a\0b"}, {"output_file": 5}],
    ids=["arguments", "empty", "none", "nul", "number"],
)
def test_what_could_not_be_read_back_is_refused_where_the_job_is_described(given_):
    """A state file of it would be a broken one, and all that was done lost."""
    with pytest.raises(OperationError, match=next(iter(given_))):
        TranscodeOperation(**{"operation_type": "vbr", "input_file": "film.mkv", **given_})


@pytest.mark.parametrize("kind", ["", "a/b", "a\0b", "x" * 65])
def test_a_type_that_is_no_part_of_a_file_name_is_refused(kind):
    with pytest.raises(OperationError, match="is no type of an operation"):
        TranscodeOperation(kind, "film.mkv")


def test_another_film_under_the_same_name_is_not_gone_on_with(film, caplog):
    """Pieces of two films make no film. The log says so; a file that only went away is no reason."""
    operation = TranscodeOperation("vbr", film)
    UniversalStateManager(operation).update_step("encode", 90)
    film.write_bytes(b"a better copy of the film")
    assert not UniversalStateManager(operation).load_state()
    assert "is another file than before" in caplog.text

    film.unlink()
    assert UniversalStateManager(operation).load_state()


def test_an_operation_that_replaced_its_own_input_is_finished_all_the_same(film):
    """What counts for a completed one is the input as it was at the end."""
    operation = TranscodeOperation("vbr", film)
    manager = UniversalStateManager(operation)
    manager.update_step("swap")
    film.write_bytes(b"the new film, longer")
    manager.mark_completed(success=True, result={"size": 20})
    assert reloaded(operation).state.best_result == {"size": 20}


# --- steps


def test_a_step_is_finished_when_the_next_begins(film):
    """Progress alone finishes nothing; going back to a finished step does not list it twice."""
    manager = UniversalStateManager(TranscodeOperation("vbr", film))
    assert manager.state.current_step == "initialization"
    manager.update_step("probe")
    manager.update_step("encode", 10)
    manager.update_step("encode", 20)
    assert manager.state.steps_completed == ["probe"]
    assert (manager.is_done("probe"), manager.is_done("encode")) == (True, False)
    manager.update_step("probe")
    manager.update_step("mux")
    assert manager.state.steps_completed == ["probe", "encode"]
    manager.mark_completed(success=True)
    assert manager.state.steps_completed == ["probe", "encode", "mux"]
    assert (manager.state.completed, manager.state.success, manager.state.progress_percent) == (True, True, 100.0)
    assert manager.state.end_time >= manager.state.start_time


@pytest.mark.parametrize(("given_", "kept"), [(-5, 0.0), (33.3, 33.3), (100.4, 100.0), (None, 7.0)])
def test_progress_stays_between_0_and_100(film, given_, kept):
    manager = UniversalStateManager(TranscodeOperation("vbr", film), auto_save=False)
    manager.update_step("encode", 7)
    manager.update_step("encode", given_)
    assert manager.state.progress_percent == kept


def test_data_of_several_steps_is_kept_together_and_results_have_their_fields(film):
    operation = TranscodeOperation("vbr", film)
    manager = UniversalStateManager(operation)
    manager.update_step("clips", data={"clips_extracted": True, "clips": [Path("/a"), b"/b"]})
    manager.update_step("search", data={"best_result": {"qp": 22}, "optimization_results": {22: 95.5}, "tries": 3})
    state = reloaded(operation).state
    assert state.clips_extracted is True
    assert state.best_result == {"qp": 22}
    assert state.optimization_results == {"22": 95.5}
    assert state.data == {"clips": ["/a", "/b"], "tries": 3}


def test_a_failed_operation_is_completed_and_not_resumable(film):
    manager = UniversalStateManager(TranscodeOperation("vbr", film))
    manager.update_step("encode")
    manager.mark_completed(False, error_message="no such encoder")
    kept = saved(manager)
    assert (kept["completed"], kept["success"], kept["error_message"]) == (True, False, "no such encoder")
    assert kept["steps_completed"] == []
    assert find_resumable_operations(film.parent) == []


def test_without_auto_save_only_save_state_writes(film):
    manager = UniversalStateManager(TranscodeOperation("vbr", film), auto_save=False)
    manager.update_step("encode")
    manager.mark_completed(success=True)
    assert not manager.state_file.parent.exists()
    manager.save_state()
    assert saved(manager)["completed"] is True


def test_cleaning_up_leaves_no_trace_and_others_files_alone(film):
    """Also by a manager that never loaded it."""
    operation = TranscodeOperation("vbr", film)
    UniversalStateManager(TranscodeOperation("qp", film)).save_state()
    UniversalStateManager(operation).save_state()
    UniversalStateManager(operation).cleanup_state()
    assert states(film.parent) == ["film.mkv_qp.state.json"]
    UniversalStateManager(TranscodeOperation("qp", film)).cleanup_state()
    assert os.listdir(film.parent) == ["film.mkv"]


# --- values


class Colour(Enum):
    RED = "red"


def test_odd_values_are_stored_as_what_they_mean(film):
    operation = TranscodeOperation("vbr", film)
    odd = {
        "path": Path("/x"),
        "when": datetime(2026, 1, 2, tzinfo=UTC),
        "set": {3, 1},
        "enum": Colour.RED,
        "operation": TranscodeOperation("qp", "/a"),
        "arguments": vars(argparse.Namespace(crf=20)),
        5: None,
    }
    UniversalStateManager(operation).update_step("odd", data=odd)
    stored = reloaded(operation).state.data
    assert stored["path"] == "/x"
    assert stored["when"].startswith("2026-01-02")
    assert stored["set"] == [1, 3]
    assert stored["enum"] == "red"
    assert stored["operation"]["operation_type"] == "qp"
    assert stored["5"] is None


def self_containing():
    value = {}
    value["again"] = [value]
    return value


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"clips": [1, object()]}, r"data\.clips\[1\] is a object"),
        ({"vmaf": float("nan")}, r"data\.vmaf is nan"),
        ({"again": self_containing()}, r"data\.again\.again\[0\] contains itself"),
        ({1: "a", "1": "b"}, r"data has two keys that are both written '1'"),
        ({(1, 2): "a"}, r"a key of data is a tuple"),
        ({"lock": threading.Lock()}, r"data\.lock is a lock"),
        ({"deep": nested(5000)}, r"data is nested too deeply"),
        ({"long": 10**5000}, r"data\.long is a number of thousands of digits"),
        ({"half": "\ud800"}, r"data\.half is '\\ud800', which is no text"),
        ({"film": "x" * (document.LARGEST_BYTES + 1)}, r"the state would have 64 MiB, and 64 are the most"),
    ],
    ids=["object", "nan", "cycle", "twins", "key", "lock", "deep", "long", "half", "film"],
)
def test_a_value_without_a_place_in_json_is_refused_by_name_and_nothing_changes(film, value, named):
    """Neither in memory nor on the disk."""
    manager = UniversalStateManager(TranscodeOperation("vbr", film))
    manager.update_step("before")
    content = manager.state_file.read_bytes()
    with pytest.raises(NotStorable, match=named):
        manager.update_step("after", data=value)
    with pytest.raises(NotStorable):
        manager.mark_completed(True, result=value)
    assert manager.state.current_step == "before"
    assert not manager.state.completed
    assert manager.state_file.read_bytes() == content


@pytest.mark.parametrize("step", [1, None, 1.5], ids=["number", "none", "float"])
def test_a_step_that_is_no_text_is_refused(film, step):
    """It could be written, and not be read back: all that was done would be lost."""
    manager = UniversalStateManager(TranscodeOperation("vbr", film))
    with pytest.raises(NotStorable, match="step is a"):
        manager.update_step(step)
    assert not manager.state_file.exists()


def test_what_programs_put_for_text_and_truth_is_read_back(film):
    """A step that is an enum, a success that is a number, an exception for its message."""
    operation = TranscodeOperation("vbr", film)
    manager = UniversalStateManager(operation)
    manager.update_step(Colour.RED)
    manager.update_step("later")
    assert manager.is_done(Colour.RED)
    manager.mark_completed(1, error_message=ValueError("some frames were odd"))
    state = reloaded(operation).state
    assert state.steps_completed == ["red", "later"]
    assert (state.success, state.error_message) == (True, "some frames were odd")


# --- trouble


def test_threads_tell_their_steps_at_once_and_none_is_lost(film):
    """Eight threads, each with steps of its own; the file ends as the memory does, and is whole all the time."""
    operation = TranscodeOperation("vbr", film)
    manager = UniversalStateManager(operation)
    manager.save_state()
    broken = []

    def tell(number):
        for step in range(12):
            manager.update_step(f"{number}-{step}", data={f"{number}-{step}": step})

    def watch(ended):
        while not ended.is_set():
            broken.extend(one for one in find_resumable_operations(film.parent) if one["broken"])

    ended = threading.Event()
    threads = [threading.Thread(target=tell, args=(number,)) for number in range(8)]
    watcher = threading.Thread(target=watch, args=(ended,))
    for thread in (watcher, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    ended.set()
    watcher.join()

    assert broken == []
    manager.mark_completed(success=True)
    state = reloaded(operation).state
    assert sorted(state.steps_completed) == sorted(f"{number}-{step}" for number in range(8) for step in range(12))
    assert state.steps_completed == manager.state.steps_completed
    assert len(state.data) == 96


def test_a_disk_that_ends_in_the_middle_of_a_write_keeps_the_last_state_and_says_so(film):
    """The process may write no file longer than the state: the kernel cuts the next one, as a full disk does."""
    manager = UniversalStateManager(TranscodeOperation("vbr", film))
    manager.update_step("encode", 40)
    before = manager.state_file.read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, limit[1]))
    try:
        with pytest.raises(StateNotSaved) as error:
            manager.update_step("encode", 50, {"long": "x" * 1000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert "film.mkv cannot be written to" in str(error.value)
    assert "the one saved before it stands" in str(error.value)
    assert "state folder elsewhere" in str(error.value)
    assert manager.state_file.read_bytes() == before
    assert not list(film.parent.glob(".watcher_state/*.new"))
    manager.update_step("encode", 60)
    assert saved(manager)["progress_percent"] == 60.0


@pytest.mark.parametrize(
    ("code", "remedy"),
    [(errno.ENOSPC, "Make room there"), (errno.EROFS, "Make it writable"), (errno.EBADF, "See to that disk")],
)
def test_a_disk_that_refuses_to_make_the_state_last_is_said_in_a_sentence(film, monkeypatch, code, remedy):
    """Nothing half is left; the words are the system's."""
    manager = UniversalStateManager(TranscodeOperation("vbr", film))

    def refuse(_descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(
        StateNotSaved, match=f"{os.strerror(code)}; nothing was saved before. {remedy}, or name a state"
    ):
        manager.save_state()
    assert states(film.parent) == []


def test_a_folder_that_takes_no_state_is_read_all_the_same(film):
    """A state found on a disk that cannot be written is loaded; saving it says what to do."""
    operation = TranscodeOperation("vbr", film)
    UniversalStateManager(operation).update_step("encode", 40)
    lock = film.parent / ".watcher_state" / "film.mkv_vbr.state.json.lock"
    assert not lock.exists()
    lock.mkdir()  # what stands in for a read-only disk, which does not stop root
    manager = UniversalStateManager(operation)
    assert manager.load_state()
    assert manager.state.progress_percent == 40.0
    with pytest.raises(StateNotSaved, match=r"the one saved before it stands\. Move away what stands"):
        manager.save_state()


def test_a_state_folder_that_was_cleared_away_is_made_again(film):
    """A person tidies up; the job goes on, and a lock that another process has made there since is left to it."""
    operation = TranscodeOperation("vbr", film)
    manager = UniversalStateManager(operation)
    manager.update_step("probe")
    shutil.rmtree(film.parent / ".watcher_state")
    manager.update_step("encode")
    assert saved(manager)["steps_completed"] == ["probe"]
    lock = manager.state_file.with_name(manager.state_file.name + ".lock")
    lock.write_text("another process's")
    manager.release()
    assert lock.exists()


# --- two processes


def test_a_second_process_is_told_who_works_on_the_operation(film):
    """It may neither load nor save; once the first lets go, it may. Another operation on the film is free."""
    operation = TranscodeOperation("vbr", film)
    first = UniversalStateManager(operation)
    first.update_step("encode")
    (found,) = find_resumable_operations(film.parent)
    assert found["held_by"] == f"process {os.getpid()}"

    def second():
        for attempt in ("load_state", "save_state"):
            with pytest.raises(OperationHeld, match=f"process {os.getppid()} works on this operation now"):
                getattr(UniversalStateManager(operation), attempt)()
        UniversalStateManager(TranscodeOperation("vbr", film, preset="fast")).update_step("probe")

    assert in_a_child(second) == 0
    assert saved(first)["current_step"] == "encode"
    first.release()
    assert in_a_child(lambda: reloaded(operation).update_step("mux")) == 0
    assert reloaded(operation).state.current_step == "mux"


def test_a_killed_process_leaves_its_operation_free(film):
    operation = TranscodeOperation("vbr", film)

    def work():
        manager = UniversalStateManager(operation)
        manager.update_step("encode")
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_child(work) == -signal.SIGKILL
    (found,) = find_resumable_operations(film.parent)
    assert found["held_by"] is None
    manager = reloaded(operation)
    manager.cleanup_state()
    assert os.listdir(film.parent) == ["film.mkv"]


def test_a_forked_child_has_no_part_in_its_parents_operation(film):
    """It is told so like any other process, and does not take the parent's right along by living longer."""
    operation = TranscodeOperation("vbr", film)
    manager = UniversalStateManager(operation)
    manager.update_step("encode")

    def child():
        with pytest.raises(OperationHeld):
            UniversalStateManager(operation).load_state()
        del globals()["kept"]

    globals()["kept"] = manager
    assert in_a_child(child) == 0
    manager.update_step("mux")
    assert saved(manager)["current_step"] == "mux"
