"""A watching thread that ends alone, with the service around it alive: it is noticed, told of, and begun anew."""

import os
import signal
import socket
import threading

import pytest
from films import film
from running import Service

# What no production code should be able to do: SIGUSR2 does harm to the kernel's side of the watching, or to its thread.
HARMS = {
    "its descriptor gives nothing but an error": """
def harm(*_):
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{number}") == "anon_inode:inotify":
                os.dup2(os.open("/dev/null", os.O_WRONLY), int(number))  # reading it is EBADF
""",
    "its thread dies without a word": """
def harm(*_):
    for thread in threading.enumerate():
        if isinstance(thread, emitter.Emitter):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
""",
}
HARMABLE = """
import contextlib, ctypes, os, signal, sys, threading
from watcher import cli
from watcher.watch import emitter
{harm}
signal.signal(signal.SIGUSR2, harm)
cli.main(sys.argv[1:])
"""


@pytest.fixture
def systemd(tmp_path):
    """What systemd hears: a list that grows."""
    heard = []

    def listen(end):
        while (message := end.recv(4096)) != b"that is all":
            heard.append(message.decode())

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        thread = threading.Thread(target=listen, args=(end,))
        thread.start()
        yield heard
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"that is all", str(tmp_path / "notify"))
        thread.join()


@pytest.mark.parametrize("harm", HARMS)
def test_a_watching_thread_that_ends_is_begun_anew(tmp_path, systemd, harm):
    """Films are found by events again, though no scan is due for an hour; and systemd, who hears the loop, hears it again."""
    drop = tmp_path / "films"
    drop.mkdir()
    service = Service(tmp_path, drop, scan_interval_sec=3600, poll_interval_sec=3600, loop_interval_sec=1)
    told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"}
    service.start(env=told, program=("-c", HARMABLE.format(harm=HARMS[harm])))
    os.kill(service.pid, signal.SIGUSR2)
    first = film(drop / "wakes the thread.mkv", seconds=1)
    service.until(lambda: any(line["event"] == "watching trouble" for line in service.lines()), "it is noticed")
    service.reaches(first, "COMPLETE", "CONVERTED")
    second = film(drop / "comes after.mkv", seconds=1)
    service.reaches(second, "COMPLETE", "CONVERTED")
    heard = len(systemd)
    service.until(lambda: "WATCHDOG=1" in systemd[heard:], "a sign of life")
    assert service.stop() == 0
