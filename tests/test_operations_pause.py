"""Pausing and leaving, heard in the main thread, wished for from anywhere."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from watcher.operations import (
    PauseManager,
    StateAwareOperation,
    TranscodeOperation,
    UniversalStateManager,
    places,
    signals,
)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def operation(tmp_path):
    (tmp_path / "film.mkv").write_bytes(b"film")
    return TranscodeOperation("vbr", tmp_path / "film.mkv")


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch):
    """Nobody answers, however the tests were started; a shell's background jobs ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def child():
    """A process in a group of its own, which does nothing until it is ended."""
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True) as process:
        yield process
        process.kill()


def kernel_state(process):
    with open(f"/proc/{process.pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def handlers():
    return [signal.getsignal(number) for number in SIGNALS]


def stored(operation):
    manager = UniversalStateManager(operation)
    assert manager.load_state()
    return manager.state


# --- signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_to_end_saves_and_leaves_at_once(operation, number, code):
    """With the shell's exit code for it; the state can be resumed, and says what stopped it."""
    with pytest.raises(SystemExit) as left, StateAwareOperation(operation) as manager:
        manager.update_step("encode", 40)
        os.kill(os.getpid(), number)
        pytest.fail("it went on")
    assert left.value.code == code
    state = stored(operation)
    assert (state.current_step, state.completed) == ("encode", False)
    assert state.error_message == number.name


def test_without_a_terminal_the_first_ctrl_c_leaves_at_the_next_pause_point(operation):
    """Nobody could end a pause there; what was begun is done up to that point."""
    reached = []
    with pytest.raises(SystemExit) as left, StateAwareOperation(operation) as manager:
        manager.update_step("encode")
        os.kill(os.getpid(), signal.SIGINT)
        reached.append("piece done")
        manager.check_pause_point()
        pytest.fail("it went on")
    assert (left.value.code, reached) == (130, ["piece done"])
    assert stored(operation).current_step == "encode"


def test_the_second_ctrl_c_leaves_at_once(operation):
    with pytest.raises(SystemExit) as left, StateAwareOperation(operation):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("it went on")
    assert left.value.code == 130


def test_without_a_terminal_ctrl_c_ends_a_child_at_work_at_once(operation, child):
    """An encode of hours need not be waited for."""
    with pytest.raises(SystemExit) as left, StateAwareOperation(operation) as manager:
        with manager.pauses.children.allow(child):
            os.kill(os.getpid(), signal.SIGINT)
            child.wait()
        pytest.fail("it went on")
    assert left.value.code == 130
    assert child.wait(10) == -signal.SIGTERM


def test_handlers_from_before_are_put_back_whatever_happens(operation):
    """After a clean end, an error, a signal; and only by the last of several operations."""
    signal.signal(signal.SIGTERM, before := lambda *_: None)
    try:
        mine = handlers()
        with StateAwareOperation(operation):
            inside = handlers()
            with StateAwareOperation(TranscodeOperation("qp", operation.input_file)):
                assert handlers() == inside
            assert handlers() == inside
        assert handlers() == mine
        assert not set(map(str, inside)) & set(map(str, mine))
        with pytest.raises(KeyError), StateAwareOperation(operation):
            raise KeyError
        with pytest.raises(SystemExit), StateAwareOperation(operation):
            os.kill(os.getpid(), signal.SIGHUP)
        assert handlers() == mine
        assert signal.getsignal(signal.SIGTERM) is before
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert threading.active_count() == 1


def test_a_signal_that_was_ignored_stays_ignored(operation):
    """As under nohup."""
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StateAwareOperation(operation) as manager:
            os.kill(os.getpid(), signal.SIGHUP)
            manager.update_step("encode")
    finally:
        signal.signal(signal.SIGHUP, old)


def test_threads_install_nothing_and_leave_when_the_main_thread_is_told_to(tmp_path):
    """Their operations are saved too."""
    before = handlers()
    seen, working, ended = [], threading.Event(), threading.Event()
    main, other = (TranscodeOperation("vbr", tmp_path / name) for name in ("a.mkv", "b.mkv"))

    def work():
        with StateAwareOperation(other) as manager:
            seen.append(handlers())
            manager.update_step("encode")
            working.set()
            while True:
                manager.check_pause_point()

    def run():
        with pytest.raises(SystemExit):
            work()
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert working.wait(10)
    assert seen == [before]
    with pytest.raises(SystemExit), StateAwareOperation(main) as manager:
        manager.update_step("encode")
        os.kill(os.getpid(), signal.SIGTERM)
    assert ended.wait(10)
    thread.join()
    for operation in (main, other):
        assert stored(operation).current_step == "encode"


def test_a_signal_in_the_middle_of_a_save_takes_effect_after_it(operation, monkeypatch):
    """The state is on the disk, and then the job is left."""
    write = places.write

    def interrupted(path, content):
        os.kill(os.getpid(), signal.SIGTERM)
        write(path, content)

    with pytest.raises(SystemExit), StateAwareOperation(operation) as manager:
        monkeypatch.setattr(places, "write", interrupted)
        try:
            manager.update_step("encode", 40)
        finally:
            monkeypatch.setattr(places, "write", write)
            assert b'"encode"' in manager.state_file.read_bytes()
        pytest.fail("it went on")
    assert stored(operation).progress_percent == 40.0


def test_a_signal_in_the_middle_of_a_pause_takes_effect_after_it(operation, monkeypatch):
    """An exception inside of `Event.wait` may find its lock released, and be hidden by an error about that."""
    woken = []

    with pytest.raises(SystemExit) as left, StateAwareOperation(operation) as manager:
        wait = manager.pauses._go_on.wait

        def interrupted():
            os.kill(os.getpid(), signal.SIGTERM)
            wait()
            woken.append(True)

        monkeypatch.setattr(manager.pauses._go_on, "wait", interrupted)
        manager.pauses.request_pause()
        manager.check_pause_point()
        pytest.fail("it went on")
    manager.pauses.resume()
    assert (left.value.code, woken) == (143, [True])


def test_a_terminal_is_told_whether_all_stands_still_already_or_will(operation, child, monkeypatch, capsys):
    """With a child at work all does at once; without one, at the next pause point. Enter goes on."""
    reading, keys = os.pipe()
    monkeypatch.setattr(signals, "_who_answers", lambda: reading)
    with StateAwareOperation(operation) as manager:
        for job in (contextlib.nullcontext(), manager.pauses.children.allow(child)):
            with job:
                os.kill(os.getpid(), signal.SIGINT)
                os.write(keys, b"\n")
                manager.check_pause_point()
    os.close(keys)
    os.close(reading)
    said = capsys.readouterr().err.split("\n\n")
    assert [line.partition(":")[0].strip() for line in said if "Ctrl-C" in line] == [
        "pausing at the next pause point",
        "paused",
    ]


def test_of_several_signals_at_once_the_first_is_heard(operation):
    """A terminal that closes sends SIGHUP, and more may follow: they do not break into the way out."""
    cleaned_up = []
    with pytest.raises(SystemExit) as left, StateAwareOperation(operation) as manager:
        manager.update_step("encode")
        try:
            os.kill(os.getpid(), signal.SIGHUP)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned_up.append(True)
    assert (left.value.code, cleaned_up) == (129, [True])
    assert stored(operation).error_message == "SIGHUP"


def test_what_begins_after_a_leave_is_not_meant_by_it(operation):
    """A program that catches the exit can go on with other work."""
    with pytest.raises(SystemExit), StateAwareOperation(operation):
        os.kill(os.getpid(), signal.SIGTERM)
    with StateAwareOperation(operation) as manager:
        manager.check_pause_point()
        manager.update_step("encode")
    assert not manager.state_file.exists()


async def test_a_coroutine_is_left_in_the_same_way(operation):
    """And its pause point lets the event loop go on."""
    pauses = PauseManager()
    pauses.request_pause()
    with pytest.raises(SystemExit) as left, StateAwareOperation(operation, pauses=pauses) as manager:
        manager.update_step("encode")
        waiting = asyncio.ensure_future(manager.check_pause_point_async())
        for _ in range(3):
            await asyncio.sleep(0)
        assert not waiting.done()
        pauses.resume()
        await waiting
        os.kill(os.getpid(), signal.SIGTERM)
    assert left.value.code == 143
    assert stored(operation).current_step == "encode"


def test_an_event_loop_ends_with_the_signals_exit_code(operation):
    """What the loop makes of it on the way (a cancelled task) is not what is told. Afterwards Ctrl-C is Ctrl-C again."""

    async def work():
        with StateAwareOperation(operation) as manager:
            manager.update_step("encode")
            asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()

    before = handlers()
    with pytest.raises(SystemExit) as left:
        asyncio.run(work())
    assert left.value.code == 143
    assert (stored(operation).current_step, stored(operation).error_message) == ("encode", "SIGTERM")
    assert handlers()[1:] == before[1:]
    with pytest.raises(KeyboardInterrupt):  # asyncio's own handler, which it takes back only where it finds it
        os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before[0])


# --- wishes of a program


def test_a_program_pauses_and_resumes_jobs_of_other_threads(operation):
    """The job waits at its pause point, its state saved; children stop at once, new ones too."""
    pauses = PauseManager(signals=())
    manager = UniversalStateManager(operation, pauses=pauses)
    manager.update_step("encode")
    passed = threading.Event()
    pauses.request_pause()
    manager.state.data["changed"] = True

    def job():
        manager.check_pause_point()
        passed.set()

    thread = threading.Thread(target=job)
    thread.start()
    assert not passed.wait(0.05)
    assert pauses.is_paused
    assert b'"changed"' in manager.state_file.read_bytes()
    pauses.resume()
    thread.join(10)
    assert passed.is_set()
    assert not pauses.is_paused


def test_a_paused_child_is_stopped_and_goes_on(child):
    """One that joins during the pause is stopped too; whoever leaves it runs."""
    pauses = PauseManager(signals=())
    stopped_by = []

    def wait_for_stop():
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        return kernel_state(child)

    with pauses.children.allow(child):
        pauses.request_pause()
        stopped_by.append(wait_for_stop())
        pauses.resume()
        os.waitid(os.P_PID, child.pid, os.WCONTINUED)
        assert kernel_state(child) != "T"
        pauses.request_pause()
        stopped_by.append(wait_for_stop())
    os.waitid(os.P_PID, child.pid, os.WCONTINUED)
    with pauses.children.allow(child):
        stopped_by.append(wait_for_stop())
        pauses.leave()
        assert child.wait(10) == -signal.SIGTERM
    assert stopped_by == ["T", "T", "T"]


def test_the_time_for_which_children_were_stopped_is_counted_once(monkeypatch):
    """However often a pause is asked for, and while it lasts, too."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    pauses = PauseManager(signals=())
    seen = []
    for seconds, change in (
        (5, "request_pause"),
        (2, "request_pause"),
        (1, "resume"),
        (7, "resume"),
        (9, "request_pause"),
    ):
        now[0] += seconds
        getattr(pauses, change)()
        seen.append(pauses.children.stopped_sec)
    now[0] += 4
    assert [*seen, pauses.children.stopped_sec] == [0, 2, 3, 3, 3, 7]


def test_a_child_that_has_ended_is_not_signalled(child, monkeypatch):
    """Its number may be another process's by now."""
    child.kill()
    child.wait()
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("it was signalled"))
    monkeypatch.setattr(os, "killpg", lambda *_: pytest.fail("it was signalled"))
    pauses = PauseManager(signals=())
    with pauses.children.allow(child):
        pauses.request_pause()
        pauses.leave()
    monkeypatch.undo()


def test_a_wish_to_leave_ends_a_pause(operation):
    """With the wished exit code."""
    pauses = PauseManager(signals=())
    manager = UniversalStateManager(operation, pauses=pauses)
    pauses.request_pause()
    codes = []

    def job():
        with pytest.raises(SystemExit) as left:
            manager.check_pause_point()
        codes.append(left.value.code)

    thread = threading.Thread(target=job)
    thread.start()
    pauses.leave(75)
    thread.join(10)
    assert codes == [75]


async def test_a_service_pauses_and_resumes_a_job_of_its_own(operation, tmp_path):
    """On its event loop, with its own handlers: state beside the temporary file, the child stopped, the loop going on."""
    before, pauses = handlers(), PauseManager(signals=())
    beside = tmp_path / ".film.temp.state.json"
    manager = UniversalStateManager(operation, state_file=os.fsencode(beside), pauses=pauses)
    await asyncio.to_thread(manager.update_step, "encode", 40)
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)
    with pauses.children.allow(child):
        pauses.request_pause()
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        waiting = asyncio.ensure_future(manager.check_pause_point_async())
        await asyncio.sleep(0)
        assert not waiting.done()
        pauses.resume()
        await waiting
        await child.communicate(b"\n")
    assert child.returncode == 0
    await asyncio.to_thread(manager.mark_completed, success=True)
    assert manager.state_file == beside
    manager.cleanup_state()
    assert os.listdir(tmp_path) == ["film.mkv"]
    assert handlers() == before


def test_without_signals_nothing_is_installed(operation):
    """For programs with handlers of their own, such as a service's event loop."""
    before = handlers()
    with StateAwareOperation(operation, pauses=PauseManager(signals=())):
        assert handlers() == before
        assert threading.active_count() == 1
