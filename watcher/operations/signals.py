"""Signals and the terminal, as wishes:

    first Ctrl-C     pause: children stop at once, the job at its next pause point; Enter goes on
    second Ctrl-C    save and leave, exit code 130
    SIGTERM, SIGHUP  save and leave, exit code 143 or 129

Where nobody can answer (no terminal, or one that another program has), a pause would never end: there the first Ctrl-C
leaves too, at the next pause point, or at once when a child is at work. A signal that was ignored before stays so
(nohup). Leaving is a SystemExit in the main thread, and in other threads at their next pause point.

The handler notes the wish and wakes a thread that does the rest: it may have interrupted whoever holds a lock.
"""  # noqa: D400

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from watcher.operations.pause import PauseManager

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_SEC: Final = 1.0
"""A terminal that closes, and many a program that ends us, sends several signals at once: the second must not break into
the way out of the first. One that comes later does, should that hang."""
_END: Final = 1 << 32
"""Added to the wake-up counter, ends the thread; below it, wishes are counted."""


class Listener:
    """Hears signals while at least one job of the main thread wants it."""

    def __init__(self, wishes: PauseManager, signals: tuple[signal.Signals, ...]) -> None:
        self._wishes = wishes
        self._signals = signals
        self._jobs = 0
        self._shields = 0
        self._struck = False
        """A signal came while shielded."""
        self._asked = False
        """The terminal asked for the pause, and not a program."""
        self._left_at = -math.inf
        """When the main thread was last told to leave, on the monotonic clock."""
        self._wake = -1
        self._closing = threading.Lock()
        """Held by other threads that write to `_wake`: closed, its number may be another file's. Never by the handler."""
        self._pid = 0
        self._before: dict[signal.Signals, Any] = {}
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Hear signals inside. Jobs may end in any order; the last one puts the old handlers back."""
        if not self._signals or threading.current_thread() is not threading.main_thread():
            yield
            return
        try:
            self._jobs += 1
            if self._jobs == 1:
                self._install()
            yield
        finally:
            self._jobs -= 1
            if self._jobs == 0:
                self._put_back()

    def _install(self) -> None:
        self._wishes.stay()
        self._wake, self._pid = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK), os.getpid()
        thread = threading.Thread(target=self._listen, args=(self._wake,), name="pause", daemon=True)
        thread.start()
        self._thread = thread
        for number in self._signals:
            old = signal.getsignal(number)
            if old is not None and old != signal.SIG_IGN:  # None: not Python's, and could not be put back
                self._before[number] = old
                signal.signal(number, self._on_signal)

    def _put_back(self) -> None:
        while self._before:
            number, old = self._before.popitem()
            if signal.getsignal(number) == self._on_signal:
                signal.signal(number, old)
        with self._closing:
            wake, self._wake, self._struck, self._left_at = self._wake, -1, False, -math.inf
        if self._thread is not None:
            os.eventfd_write(wake, _END)
            self._thread.join()
            self._thread = None
        if wake >= 0:  # it is not there where none could be made
            os.close(wake)
        if self._asked:  # nobody is left who could answer
            self._asked = False
            self._wishes.resume()

    @contextlib.contextmanager
    def shield(self) -> Iterator[None]:
        """Let no signal raise in the main thread inside; one that comes raises at the end."""
        if self._wake < 0 or threading.current_thread() is not threading.main_thread():
            yield
            return
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
            if self._struck and not self._shields:
                self._struck, self._left_at = False, time.monotonic()
                raise SystemExit(self._wishes.leaving)

    def wake(self) -> None:
        """Let the listening thread look at the wishes again; nothing when nobody listens."""
        with self._closing:
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        code, wishes = 128 + number, self._wishes
        if os.getpid() != self._pid:  # a forked child inherits the handler, but neither the thread nor the job
            raise SystemExit(code)
        if time.monotonic() - self._left_at < AGAIN_SEC:
            return
        first = number == signal.SIGINT and not wishes.is_paused and wishes.leaving is None
        if first and _who_answers() is not None:
            self._asked = True
            wishes.note(leaving=None)
            os.eventfd_write(self._wake, 1)
            return
        wishes.note(leaving=code)
        os.eventfd_write(self._wake, 1)
        if first and not wishes.children:
            return
        wishes.children.end()
        if self._shields:
            self._struck = True
        else:
            self._left_at = time.monotonic()
            raise SystemExit(code)

    def _listen(self, wake: int) -> None:
        """Do what the handler must not. A pause that a program asked for is the program's to end."""
        # One that this thread took would be noted, and not interrupt what the main thread waits for.
        signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)
        asked, going = False, True
        while going:
            terminal = _who_answers() if asked else None
            if asked and terminal is None and _terminal() is None:
                self._terminal_gone()
            ready, _, _ = select.select([wake] if terminal is None else [wake, terminal], [], [])
            if terminal is not None and terminal in ready:
                self._take_answer(terminal)
            if wake in ready:
                going = os.eventfd_read(wake) < _END
            code = self._wishes.leaving
            if code is not None:
                self._wishes.leave(code)
            elif not self._wishes.is_paused:
                asked = False
            elif going:
                self._wishes.request_pause()
                if not asked:
                    when = "paused" if self._wishes.children else "pausing at the next pause point"
                    _say(f"{when}: Enter goes on, Ctrl-C saves and leaves")
                asked = True

    def _take_answer(self, terminal: int) -> None:
        try:
            answer = os.read(terminal, 4096)
        except OSError:
            answer = b""
        if answer:
            self._wishes.resume()
            _say("going on")
        else:
            self._terminal_gone()

    def _terminal_gone(self) -> None:
        """Leave, as its Ctrl-C would have done; unless its SIGHUP was faster."""
        if self._wishes.leaving is None:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def _terminal() -> int | None:
    """Give the descriptor of the terminal that standard input is; None when it is none, or gone."""
    try:
        descriptor = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):  # no standard input, or one that is no file
        return None
    return descriptor if os.isatty(descriptor) else None


def _who_answers() -> int | None:
    """Give the terminal whose person can answer; None also where another program has it: reading would stop us."""
    descriptor = _terminal()
    try:
        return descriptor if descriptor is not None and os.tcgetpgrp(descriptor) == os.getpgrp() else None
    except OSError:  # gone, or not the one we were started from
        return None


def _say(text: str) -> None:
    with contextlib.suppress(OSError, AttributeError, ValueError):  # the terminal is gone
        sys.stderr.write(f"\n{text}\n")
        sys.stderr.flush()
