"""One child process and its pipes: the mechanics behind `ffmpeg.run`, and used by nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import os
import resource
import shutil
import signal
import subprocess
import threading
from typing import IO, TYPE_CHECKING, Final

from watcher.errors import ToolMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from watcher.media.output import Output

NICENESS: Final = 10
_PIPE_BYTES: Final = 1 << 20
"""What a feed holds until it is looked at. Linux gives anybody so much; a small pipe has 64 KiB."""
_MUCH_BYTES: Final = 16 << 10
_BRISK_SEC: Final = 0.01
_CALM_SEC: Final = 0.1
"""Between two looks at the feeds, when much came and when little did: a track has 24 KB a second of its film."""


class Link:
    """A pipe from one child to another: the command of the one says `to`, that of the other `source`."""

    def __init__(self) -> None:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        self.reading = os.fdopen(reading, "rb", 0)
        self.writing = os.fdopen(writing, "wb", 0)
        self.to = f"pipe:{writing}"
        self.source = f"pipe:{reading}"
        with contextlib.suppress(OSError):  # root's limit for all pipes of a user; a small one does, too
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def close(self) -> None:
        """Let go of both ends."""
        self.reading.close()
        self.writing.close()


class Feed(Link):
    """A pipe that a child writes one more output to: its command says `to`, and `take` gets what comes."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        super().__init__()
        self.take = take
        os.set_blocking(self.reading.fileno(), False)


class Child:
    """A running process. Made, signalled and reaped on the event loop's thread; a thread of its own only waits."""

    def __init__(
        self,
        argv: Sequence[str | bytes],
        env: Mapping[str, str],
        memory_limit_bytes: int | None,
        ends: Sequence[IO[bytes]] = (),
    ) -> None:
        """Start the process. Raises ToolMissing when it cannot be. It alone holds these ends of pipes then."""
        loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[None] = loop.create_future()
        """Done when the process has ended; its number stays ours until `reap`, so a late signal hits nobody else."""
        self.returncode: int | None = None
        """None until `reap`."""
        self.cpu_sec = 0.0
        self.peak_bytes = 0
        """The most memory it held at once."""
        program = os.fsdecode(argv[0])
        if shutil.which(program) is None:  # asked here, since the wrapper would start and fail without a word for it
            raise ToolMissing(f"{program} is not there or may not be started")
        try:
            self._popen = subprocess.Popen(
                [*_wrapper(), *argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=env,
                start_new_session=True,
                pass_fds=[end.fileno() for end in ends],
            )
        except OSError as error:
            raise ToolMissing(f"{program} cannot be started: {error.strerror or error}") from error
        self.pid = self._popen.pid
        """Its number, and that of the group it leads."""
        for end in ends:
            end.close()
        self._lower(memory_limit_bytes)
        threading.Thread(target=self._wait, args=(loop,), daemon=True, name=f"child-{self._popen.pid}").start()

    def _lower(self, memory_limit_bytes: int | None) -> None:
        # Set from here, and not by yet another wrapper. Of the group: of a process alone it would be of its first thread.
        with contextlib.suppress(OSError):  # already gone, or a sandbox forbids it: neither is worth a failure
            os.setpriority(os.PRIO_PGRP, self._popen.pid, min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS))
        if memory_limit_bytes is not None:
            with contextlib.suppress(OSError, ValueError):
                resource.prlimit(self._popen.pid, resource.RLIMIT_AS, (memory_limit_bytes, memory_limit_bytes))

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        # A thread, as asyncio's own watcher has, because pidfd_open is missing on the old kernels of many a NAS.
        # WNOWAIT leaves the reaping to `reap`: wait4 there gives this child's CPU time, which asyncio throws away.
        try:
            os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOWAIT)
        finally:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._is_gone)

    def _is_gone(self) -> None:
        if not self.gone.done():
            self.gone.set_result(None)

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the process and all it started; nothing when they are gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, number)

    def reap(self) -> int:
        """Take the ended process from the kernel: gives its `returncode`, and sets `cpu_sec` and `peak_bytes` too."""
        self.signal_group(signal.SIGKILL)  # what a wrapper script may have left running in its group
        _, status, usage = os.wait4(self._popen.pid, 0)
        code = self._popen.returncode = self.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_sec = usage.ru_utime + usage.ru_stime
        self.peak_bytes = usage.ru_maxrss * 1024
        return code

    def pump(self, output: Output, feeds: Sequence[Feed] = ()) -> list[asyncio.Task[None]]:
        """Begin to hand on all that it writes, until the end of each pipe."""
        works = [_pump(self._popen.stdout, output.take_stdout), _pump(self._popen.stderr, output.take_stderr)]
        return [asyncio.create_task(work) for work in [*works, *([_pour(feeds, output)] if feeds else [])]]


@functools.cache
def _wrapper() -> tuple[str, ...]:
    """Give the commands that a child is started through: each sets one thing and becomes the next (1 ms apiece).

    A child must die with us even when we are killed by -9, and only prctl(PR_SET_PDEATHSIG) in the child does that.
    preexec_fn could call it, but runs Python between fork and exec, which can deadlock in a process with threads;
    setpriv (util-linux, on every Debian) does it safely. The signal comes when the *thread* that forked ends: that
    is the event loop's, whose end is ours. Where setpriv is missing, systemd's control group still ends the children.
    """
    setpriv, ionice = shutil.which("setpriv"), shutil.which("ionice")
    return (
        *((setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()),
        *((ionice, "-t", "-c", "3") if ionice else ()),  # -t: go on where the priority cannot be set
    )


async def _pump(pipe: IO[bytes] | None, take: Callable[[bytes], None]) -> None:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        while chunk := await reader.read(1 << 16):
            take(chunk)
    finally:
        transport.close()


async def _pour(feeds: Sequence[Feed], output: Output) -> None:
    """Take from all feeds until each has ended, now and then: FFmpeg writes every packet by itself, and to wake up for each
    would cost more than anything that is done with it.
    """
    open_ones = list(feeds)
    try:
        while open_ones:
            most = 0
            for feed in tuple(open_ones):
                try:
                    chunk = os.read(feed.reading.fileno(), _PIPE_BYTES)
                except BlockingIOError:
                    continue
                if not chunk:
                    open_ones.remove(feed)
                    continue
                output.moved()
                feed.take(chunk)
                most = max(most, len(chunk))
            await asyncio.sleep(_BRISK_SEC if most > _MUCH_BYTES else _CALM_SEC)
    finally:
        for feed in feeds:
            feed.close()
