"""The two ways to make code resumable: the block and the decorated function."""

import argparse
import asyncio
import errno
import json
import logging
import os
from pathlib import Path

import pytest

from watcher.errors import OperationError, OperationHeld, StateNotSaved
from watcher.operations import (
    StateAwareOperation,
    TranscodeOperation,
    UniversalStateManager,
    cleanup_completed_states,
    find_resumable_operations,
    places,
    with_state_management,
)

ARGS = argparse.Namespace(preset="slow", vmaf_target=95.0)


@pytest.fixture
def films(tmp_path):
    paths = [tmp_path / name for name in ("a.mkv", "a.mp4", "b.mkv")]
    for path in paths:
        path.write_bytes(path.name.encode())
    return paths


@pytest.fixture
def film(films):
    return films[0]


def state_names(folder):
    return sorted(os.listdir(folder / ".watcher_state")) if (folder / ".watcher_state").exists() else []


class Work:
    """A function to decorate, which notes its calls and fails when it is told to."""

    def __init__(self):
        self.calls = []
        self.fail_at = None
        self.result = lambda file: {"size": len(Path(file).name)}

    def __call__(self, file):
        self.calls.append(Path(file).name)
        if self.calls[-1] == self.fail_at:
            raise RuntimeError(f"no room for {self.fail_at}")
        return self.result(file)


@pytest.fixture
def work():
    return Work()


# --- with


def test_a_block_that_ends_cleanly_leaves_nothing_behind(film):
    """Inside, its state is on the disk."""
    operation = TranscodeOperation("vbr", film)
    with StateAwareOperation(operation) as manager:
        manager.update_step("encode")
        assert state_names(film.parent) == ["a.mkv_vbr.state.json", "a.mkv_vbr.state.json.lock"]
    assert manager.state.completed
    assert manager.state.success
    assert not (film.parent / ".watcher_state").exists()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("no such encoder"), "ValueError: no such encoder"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (asyncio.CancelledError(), "CancelledError"),
    ],
    ids=["error", "ctrl-c", "cancelled"],
)
def test_a_block_that_is_interrupted_is_resumed_by_the_next_one(film, error, reason):
    """The exception goes on, itself; the step, the data and the reason are there again, until the work goes on."""
    operation = TranscodeOperation("vbr", film, preset="slow")
    with pytest.raises(type(error)) as raised, StateAwareOperation(operation) as manager:
        manager.update_step("probe")
        manager.update_step("encode", 40, {"piece": 3})
        raise error
    assert raised.value is error
    (found,) = find_resumable_operations(film.parent)
    assert (found["current_step"], found["error_message"], found["held_by"]) == ("encode", reason, None)

    with StateAwareOperation(operation) as manager:
        assert (manager.state.current_step, manager.state.data) == ("encode", {"piece": 3})
        assert (manager.is_done("probe"), manager.state.error_message) == (True, reason)
        manager.update_step("encode", 50)
        (found,) = find_resumable_operations(film.parent)
        assert found["error_message"] is None, "a kill that comes now was not that reason"
    assert state_names(film.parent) == []


def test_a_block_begins_anew_when_asked_to_or_after_a_completed_one(film):
    operation = TranscodeOperation("vbr", film)
    UniversalStateManager(operation).update_step("encode", 40)
    with StateAwareOperation(operation, resume=False) as manager:
        assert manager.state.current_step == "initialization"
    completed = UniversalStateManager(operation)
    completed.mark_completed(success=True)
    completed.release()
    with StateAwareOperation(operation) as manager:
        assert not manager.state.completed
        assert manager.state.current_step == "initialization"


def test_a_block_that_says_it_failed_keeps_its_record(film):
    """It is no longer resumable, and can be read."""
    with StateAwareOperation(TranscodeOperation("vbr", film)) as manager:
        manager.mark_completed(success=False, error_message="no such encoder")
    assert json.loads(manager.state_file.read_text())["error_message"] == "no such encoder"
    assert find_resumable_operations(film.parent) == []


def test_a_state_that_cannot_be_saved_does_not_hide_why_the_block_ended(film, monkeypatch, caplog):
    """The block's own exception goes on, with a note; the log says it too."""
    operation = StateAwareOperation(TranscodeOperation("vbr", film))
    with pytest.raises(ValueError, match="no such encoder") as raised, operation as manager:
        manager.update_step("encode")
        monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "disk full")))
        raise ValueError("no such encoder")
    assert "disk full; the one saved before it stands" in raised.value.__notes__[0]
    assert "not saved" in caplog.text


def test_a_block_whose_operation_another_process_took_says_so(film):
    """Both began anew at the same time; the second is told at its first step, and leaves the first alone."""
    operation = TranscodeOperation("vbr", film)
    begun, told = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with StateAwareOperation(operation) as manager:
                os.read(begun[0], 1)
                with pytest.raises(OperationHeld, match=f"process {os.getppid()} works on this operation now"):
                    manager.update_step("encode")
                manager.update_step("encode")
        except OperationHeld:
            os.write(told[1], b"held")
        finally:
            os._exit(0)
    with StateAwareOperation(operation) as manager:
        manager.update_step("encode", 40)
        os.write(begun[1], b"x")
        assert os.read(told[0], 9) == b"held"
        os.waitpid(child, 0)
        assert json.loads(manager.state_file.read_text())["progress_percent"] == 40.0


def test_a_full_disk_at_the_very_end_does_not_undo_finished_work(film, monkeypatch):
    """The file goes, as it would have gone."""
    with StateAwareOperation(TranscodeOperation("vbr", film)) as manager:
        manager.update_step("encode")
        real = os.replace
        monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "disk full")))
    monkeypatch.setattr(os, "replace", real)
    assert state_names(film.parent) == []


# --- the decorator


def decorated(work, **options):
    """The migrating function, as it stands in older scripts: it knows nothing of states."""

    @with_state_management("vbr", **options)
    def process(args, encoder, encoder_type, files):
        return [work(file) for file in files]

    return process


def test_a_function_that_knows_nothing_of_states_works_as_before(films, work):
    """One file or several, by position or by name, as text or as paths, listed or alone."""
    process = decorated(work)
    assert process(ARGS, "x265", "software", [films[0]]) == [{"size": 5}]
    assert process(args=ARGS, encoder="x265", encoder_type="software", files=[str(films[1])]) == [{"size": 5}]
    assert process(ARGS, "x265", "software", []) == []
    assert work.calls == ["a.mkv", "a.mp4"]
    assert process.__name__ == "process"


def test_one_path_that_is_no_list_is_one_file(film):
    given = []

    @with_state_management("vbr")
    def process(args, encoder, encoder_type, files):
        given.append(files)

    process(ARGS, "x265", "software", film)
    process(ARGS, "x264", "software", files=str(film))
    assert given == [film, str(film)]


def test_files_that_can_be_gone_through_only_once_are_one_list(films, work):
    process = decorated(work)
    assert process(ARGS, "x265", "software", (film for film in films[:1])) == [{"size": 5}]
    assert list(process(ARGS, "x265", "software", iter(films))) == films


def test_a_finished_operation_answers_without_running_again(film, work):
    """Until the film or a setting changes, or its record is cleared away."""
    process = decorated(work)
    for _ in range(2):
        assert process(ARGS, "x265", "software", [film]) == [{"size": 5}]
    assert work.calls == ["a.mkv"]

    process(argparse.Namespace(preset="fast", vmaf_target=95.0), "x265", "software", [film])
    process(ARGS, "x264", "software", [film])
    assert len(work.calls) == 3
    process(ARGS, "x265", "software", [str(film)])
    assert len(work.calls) == 3
    film.write_bytes(b"another film")
    process(ARGS, "x265", "software", [film])
    assert len(work.calls) == 4
    assert cleanup_completed_states(film.parent, 0) == 3
    process(ARGS, "x265", "software", [film])
    assert len(work.calls) == 5


def test_an_operation_completed_by_hand_answers_too(film, work):
    """The same job, whoever did it."""
    process = decorated(work)
    operation = TranscodeOperation(
        "vbr", film, encoder="x265", encoder_type="software", preset="slow", target_vmaf=95.0
    )
    UniversalStateManager(operation).mark_completed(True, {"vmaf": 95.5})
    assert process(ARGS, "x265", "software", [film]) == {"vmaf": 95.5}
    assert work.calls == []


def test_a_result_without_its_output_file_is_made_again(film, work):
    output = film.with_name("out.mkv")
    work.result = lambda _: output.write_bytes(b"made")
    args = argparse.Namespace(output=output)
    process = decorated(work)
    process(args, "x265", "software", [film])
    process(args, "x265", "software", [film])
    assert len(work.calls) == 1
    output.unlink()
    process(args, "x265", "software", [film])
    assert len(work.calls) == 2


def test_a_manager_is_given_where_the_function_takes_one(film):
    """The one of this operation; one that the caller gives is left alone."""
    given = []

    @with_state_management("vbr")
    def process(args, encoder, encoder_type, files, state_manager=None):
        given.append(state_manager)
        state_manager.update_step("encode")

    process(ARGS, "x265", "software", [film])
    operation = given[0].operation
    assert (operation.operation_type, operation.input_file) == ("vbr", str(film))
    assert (operation.encoder, operation.encoder_type, operation.preset) == ("x265", "software", "slow")
    assert operation.target_vmaf == 95.0
    own = UniversalStateManager(TranscodeOperation("mine", film))
    process(ARGS, "x265", "software", [film], state_manager=own)
    assert given[1] is own


def test_an_interrupted_function_goes_on_where_it_was(film):
    """Its step and data are in the manager that it is given the next time."""
    seen = []

    @with_state_management("vbr")
    def process(args, encoder, encoder_type, files, state_manager):
        seen.append(state_manager.state.current_step)
        state_manager.update_step("encode", 90)
        if len(seen) == 1:
            raise KeyboardInterrupt
        return "done"

    with pytest.raises(KeyboardInterrupt):
        process(ARGS, "x265", "software", [film])
    assert process(ARGS, "x265", "software", [film]) == "done"
    assert seen == ["initialization", "encode"]


def test_a_batch_skips_what_is_finished(films, work):
    """It stops at the file that fails, and goes on with it; one more film in the folder is no reason to begin anew."""
    process = decorated(work)
    work.fail_at = "a.mp4"
    with pytest.raises(RuntimeError, match=r"no room for a\.mp4"):
        process(ARGS, "x265", "software", films)
    assert work.calls == ["a.mkv", "a.mp4"]
    (found,) = find_resumable_operations(films[0].parent)
    assert found["operation_type"] == "batch"
    assert found["progress_percent"] == pytest.approx(100 / 3)
    assert found["error_message"] == "RuntimeError: no room for a.mp4"

    work.fail_at = None
    more = films[0].with_name("c.mkv")
    more.write_bytes(b"c")
    results = process(ARGS, "x265", "software", [*films, more])
    assert results == {film: [{"size": 5}] for film in (*films, more)}
    assert work.calls == ["a.mkv", "a.mp4", "a.mp4", "b.mkv", "c.mkv"]
    assert process(ARGS, "x265", "software", list(map(str, films))) == {str(film): [{"size": 5}] for film in films}
    assert len(work.calls) == 5
    films[2].write_bytes(b"another film")
    process(ARGS, "x265", "software", films)
    assert work.calls[5:] == ["b.mkv"]


def test_a_batch_resumes_inside_the_file_it_was_at(films):
    """Each file has an operation of its own, which goes when the batch has its result."""
    seen = []

    @with_state_management("vbr")
    def process(args, encoder, encoder_type, files, state_manager=None):
        (file,) = files
        seen.append((file.name, state_manager.state.progress_percent))
        if file.name == "a.mp4" and len(seen) == 2:
            state_manager.update_step("encode", 90)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process(ARGS, "x265", "software", films)
    process(ARGS, "x265", "software", films)
    assert seen == [("a.mkv", 0.0), ("a.mp4", 0.0), ("a.mp4", 90.0), ("b.mkv", 0.0)]
    folder = films[0].parent
    assert state_names(folder) == [f"{folder.name}_batch.state.json"]


def test_how_a_program_was_called_and_on_which_files_is_not_what_is_done(films, work):
    """`--resume`, `--verbose` and the list of files change nothing about an operation; a function among them neither."""
    process = decorated(work)
    shared = {"crf": 20, "run": len, "_private": object()}
    process(argparse.Namespace(files=films, resume=False, verbose=1, **shared), "x265", "software", [films[0]])
    process(argparse.Namespace(files=[films[0]], resume=True, verbose=0, **shared), "x265", "software", [films[0]])
    assert work.calls == ["a.mkv"]
    process(argparse.Namespace(files=films, **{**shared, "crf": 21}), "x265", "software", [films[0]])
    process(argparse.Namespace(files=films, **{**shared, "run": max}), "x265", "software", [films[0]])
    assert len(work.calls) == 3


def test_without_resume_check_everything_begins_anew_unless_resume_is_given(film, work):
    process = decorated(work, resume_check=False)
    for _ in range(2):
        process(argparse.Namespace(resume=False), "x265", "software", [film])
    assert len(work.calls) == 2
    process(argparse.Namespace(resume=True), "x265", "software", [film])
    assert len(work.calls) == 2


def test_a_result_that_cannot_be_stored_is_returned_and_not_kept(film, work, caplog):
    """The work is not lost for that; it is done again the next time, since nothing could answer for it."""
    work.result = lambda _: object()
    process = decorated(work)
    assert type(process(ARGS, "x265", "software", [film])[0]) is object
    assert "result[0] is a object" in caplog.text
    assert state_names(film.parent) == []
    process(ARGS, "x265", "software", [film])
    assert len(work.calls) == 2


def test_a_state_folder_of_ones_own_keeps_the_films_folder_clean(films, work, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    decorated(work, state_dir=own)(ARGS, "x265", "software", films)
    assert state_names(tmp_path) == []
    assert [path.suffix for path in own.iterdir()] == [".json"]


async def test_a_coroutine_is_decorated_in_the_same_way(films, work):
    """One file, several, an interruption and a finished result."""

    @with_state_management("vbr")
    async def process(args, encoder, encoder_type, files, state_manager=None):
        await asyncio.sleep(0)
        state_manager.update_step("encode")
        return work(files[0])

    work.fail_at = "a.mp4"
    with pytest.raises(RuntimeError):
        await process(ARGS, "x265", "software", files=films)
    work.fail_at = None
    assert await process(ARGS, "x265", "software", files=films) == {film: {"size": 5} for film in films}
    assert work.calls == ["a.mkv", "a.mp4", "a.mp4", "b.mkv"]
    assert await process(ARGS, "x265", "software", [films[0]]) == {"size": 5}
    assert await process(ARGS, "x265", "software", [films[0]]) == {"size": 5}
    assert len(work.calls) == 5


async def test_a_cancelled_coroutine_is_resumable(film):
    started = asyncio.Event()

    @with_state_management("vbr")
    async def process(args, encoder, encoder_type, files, state_manager=None):
        state_manager.update_step("encode", 40)
        started.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(process(ARGS, "x265", "software", [film]))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (found,) = find_resumable_operations(film.parent)
    assert (found["progress_percent"], found["held_by"]) == (40.0, None)


def test_methods_can_be_decorated(film):
    class Encoder:
        def __init__(self):
            self.runs = 0

        @with_state_management("vbr")
        def process(self, args, encoder, encoder_type, files):
            self.runs += 1

    encoder = Encoder()
    encoder.process(ARGS, "x265", "software", [film])
    encoder.process(ARGS, "x265", "software", [film])
    assert encoder.runs == 1


def test_a_function_without_files_is_refused_where_it_is_decorated():
    with pytest.raises(OperationError, match="has no parameter `files`"):
        with_state_management("vbr")(lambda args: None)


def test_a_generator_is_refused_where_it_is_decorated():
    """It has done nothing when it returns, and would count as finished."""

    def process(files):
        yield from files

    async def process_async(files):
        yield files

    for function in (process, process_async):
        with pytest.raises(OperationError, match="is a generator"):
            with_state_management("vbr")(function)


def test_a_state_that_cannot_be_saved_ends_the_function_in_a_sentence(film, monkeypatch):
    """Nothing pretends to be resumable that is not."""
    monkeypatch.setattr(
        places, "write", lambda *_: (_ for _ in ()).throw(OSError(errno.EROFS, "Read-only file system"))
    )

    @with_state_management("vbr")
    def process(args, encoder, encoder_type, files, state_manager=None):
        state_manager.update_step("encode")

    with pytest.raises(
        StateNotSaved, match=r"a\.mkv cannot be written.*Read-only file system.*state folder elsewhere"
    ) as raised:
        process(ARGS, "x265", "software", [film])
    assert not hasattr(raised.value, "__notes__"), "it is said once"


@pytest.fixture(autouse=True)
def info(caplog):
    caplog.set_level(logging.INFO)
