"""media/ffmpeg and media/child: a child is bounded, polite, and gone when we say so."""

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from watcher.errors import ToolMissing
from watcher.media import ffmpeg

ENDLESS = (
    "ffmpeg",
    *ffmpeg.QUIET,
    *ffmpeg.PROGRESS,
    "-re",
    "-f",
    "lavfi",
    "-i",
    "testsrc=duration=600",
    "-f",
    "null",
    "-",
)


def gone(pid, timeout_sec=10):
    """Wait until a process has ended; False when it lives on."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], timeout_sec)[0])
    finally:
        os.close(descriptor)


async def sh(script, **options):
    return await ffmpeg.run(["sh", "-c", script], **{"time_limit_sec": 20, **options})


async def test_what_a_child_says_and_its_code_are_handed_over():
    """Standard output, lines of standard error and the exit code arrive as they were."""
    finished = await sh("echo out; echo err >&2; printf last >&2; exit 3")
    assert (finished.stdout, finished.stderr_lines, finished.returncode) == (b"out\n", ("err", "last"), 3)
    assert (finished.ended, finished.stderr_count) == ("exit", 2)


async def test_lines_are_whole_though_a_report_of_progress_stands_in_the_middle_of_one():
    """FFmpeg writes what it makes in blocks of 32 KB, which end anywhere, and reports in between."""
    taken, seen = [], []
    report = "frame=7\\nout_time_us=5000000\\nprogress=continue\\n"
    script = f"printf '1, S=1, 2\\n3, {report}4\\n{report}5'; printf '{report}\\nelse\\n'"
    finished = await sh(
        script, on_progress=seen.append, take_line=lambda line: not line.startswith(b"e") and not taken.append(line)
    )
    assert taken == [b"1, S=1, 2\n", b"3, 4\n", b"5\n", b""]
    assert finished.stdout == b"else\n"
    assert [progress.out_time_sec for progress in seen] == [5.0] * 3


async def test_stderr_is_bounded_and_counted():
    """Of 10,000 lines the first and last 200 are kept, and each is cut; the count is true."""
    finished = await sh(
        "i=0; while [ $i -lt 10000 ]; do echo line $i; i=$((i+1)); done >&2; head -c 100000 /dev/zero >&2"
    )
    assert finished.stderr_count == 10_001
    assert len(finished.stderr_lines) == 400
    assert finished.stderr_lines[0] == "line 0"
    assert finished.stderr_lines[-2] == "line 9999"
    assert len(finished.stderr_lines[-1]) <= 500


async def test_stdout_is_bounded_and_says_so():
    """20 MiB without a line end: 16 are kept, and nobody waits for ever on a full pipe."""
    finished = await sh("head -c 20971520 /dev/zero")
    assert finished.stdout_cut
    assert len(finished.stdout) == 16 << 20


async def test_lines_may_be_ignored_before_they_fill_the_room():
    """A harmless line counts for nothing, however often it comes."""
    finished = await sh(
        "for i in 1 2 3; do echo noise; done >&2; echo news >&2", ignore_line=lambda line: line == "noise"
    )
    assert (finished.stderr_lines, finished.stderr_count) == (("news",), 1)


async def test_control_characters_never_reach_a_line():
    """A file name in a message cannot forge another line or paint a terminal."""
    finished = await sh(r"printf 'a\033[31mb\000c\n' >&2")
    assert finished.stderr_lines == ("a?[31mb?c",)


async def test_progress_is_told_in_seconds():
    """out_time comes as seconds, with frames, and the rest of standard output is kept."""
    seen = []
    command = ["ffmpeg", *ffmpeg.QUIET, *ffmpeg.PROGRESS, "-f", "lavfi", "-i", "testsrc=duration=2:rate=10"]
    finished = await ffmpeg.run(
        [*command, "-f", "null", "-", "-f", "streamhash", "-"], time_limit_sec=30, on_progress=seen.append
    )
    assert finished.returncode == 0
    assert finished.progress == seen[-1]
    assert (seen[-1].out_time_sec, seen[-1].frame) == (2.0, 20)
    assert finished.stdout.startswith(b"0,v,SHA256=")


async def test_cpu_time_is_that_of_this_child():
    """Two children at once: the busy one's time is not the idle one's."""
    busy, idle = await asyncio.gather(
        sh("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"), sh("read line < /dev/null; true")
    )
    assert busy.cpu_sec > 0.05 > idle.cpu_sec


async def test_a_time_limit_ends_it():
    """The process is gone at the limit, and the answer says who ended it."""
    finished = await ffmpeg.run(ENDLESS, time_limit_sec=0.5)
    assert finished.ended == "timeout"


async def test_a_position_that_does_not_move_is_a_stall():
    """An encoder at 10 frames a second goes on; one that reports nothing is ended."""
    stalled = await ffmpeg.run(
        ["sh", "-c", "echo out_time_us=1; echo progress=continue; exec sleep 60"],
        time_limit_sec=30,
        stall_limit_sec=0.3,
    )
    assert stalled.ended == "stalled"
    moving = await sh(
        "for i in 1 2 3 4 5 6; do echo out_time_us=$i; echo progress=continue; sleep 0.1; done", stall_limit_sec=0.5
    )
    assert moving.ended == "exit"


async def test_time_in_which_it_is_stopped_counts_for_no_limit():
    """All of this run is said to be a pause: twice as long as both its limits, it comes to its end."""

    class Paused:
        stopped_sec = property(lambda _: time.monotonic())

        def allow(self, process):
            return contextlib.nullcontext(process)

    finished = await sh("sleep 0.6; echo done", time_limit_sec=0.3, stall_limit_sec=0.3, stops=Paused())
    assert (finished.ended, finished.stdout) == ("exit", b"done\n")


async def test_a_foreign_kill_is_told_from_an_exit():
    """Killed from outside: ended says so, so that no verdict is made of it."""
    finished = await sh("kill -KILL $$")
    assert (finished.ended, finished.returncode) == ("killed", -signal.SIGKILL)


async def test_cancelling_ends_the_whole_group_before_it_raises(tmp_path):
    """A stopped child that ignores SIGTERM, and its own child, are gone when CancelledError arrives, within seconds."""
    script = "trap '' TERM; sleep 60 & echo out_time_us=$!; echo progress=continue; kill -STOP $$; wait"
    started = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        ffmpeg.run(
            ["sh", "-c", script],
            time_limit_sec=60,
            on_progress=lambda progress: started.set_result(round(progress.out_time_sec * 1e6)),
        )
    )
    grandchild = await asyncio.wait_for(started, 10)
    task.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert gone(grandchild)


async def test_a_second_cancel_does_not_leave_the_process_behind():
    """However often a task is cancelled, it ends only with its process."""
    task = asyncio.create_task(
        ffmpeg.run(["sh", "-c", "trap '' TERM; echo $$ >&2; while :; do sleep 1; done"], time_limit_sec=60)
    )
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_child_dies_with_its_parent(tmp_path):
    """SIGKILL to us gives us no chance to clean up; the kernel ends the child."""
    script = textwrap.dedent("""
        import asyncio
        from watcher.media import ffmpeg
        say = lambda progress: print(round(progress.out_time_sec * 1e6), flush=True)
        child = "echo out_time_us=$$; echo progress=continue; exec sleep 60"
        asyncio.run(ffmpeg.run(["sh", "-c", child], time_limit_sec=60, on_progress=say))
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=os.getcwd()) as parent:
        child = int(parent.stdout.readline())
        parent.kill()
    assert gone(child)


async def test_it_is_polite_and_reads_nothing():
    """Nothing on standard input, a lower priority, a limit on memory, and not in our session."""
    lowered = 'until [ "$(nice)" -ge 10 ] && [ "$(ulimit -v)" != unlimited ]; do sleep 0.01; done'
    finished = await sh(f"{lowered}; cat; nice; ulimit -v; ps -o sid= -p $$; echo $$", memory_limit_bytes=1 << 30)
    niceness, memory_kib, session, pid = finished.stdout.split()
    assert int(niceness) >= 10
    assert int(memory_kib) == 1 << 20
    assert session == pid


async def test_it_cannot_speak_to_systemd_in_our_name(monkeypatch):
    """A child that inherited NOTIFY_SOCKET could say READY for us; messages are in English."""
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    finished = await sh("env")
    assert b"NOTIFY_SOCKET" not in finished.stdout
    assert b"WATCHDOG" not in finished.stdout
    assert b"LC_ALL=C\n" in finished.stdout


async def test_what_cannot_be_started_is_missing():
    """A program that is not there is a ToolMissing with its name, not a crash."""
    with pytest.raises(ToolMissing, match="/no/ffmpeg"):
        await ffmpeg.run(["/no/ffmpeg"], time_limit_sec=5)


@pytest.mark.parametrize("name", [b"-i", b"http:x", b"pipe:0", b"concat:a|b", b"%03d", b"caf\xe9", b"a\nb", b"file:x"])
def test_no_name_is_an_option_or_a_protocol(name, monkeypatch, tmp_path):
    """Whatever its bytes, a name stands behind `file:` and a slash."""
    monkeypatch.chdir(tmp_path)
    assert ffmpeg.source(name) == b"file:" + os.fsencode(tmp_path) + b"/" + name
