"""Real faults during a check: each is an ERROR with its reason, and never says anything about the film."""

import asyncio
import contextlib
import functools
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import clips
import pytest
from running import Service

from watcher.media import decode, ffmpeg, integrity, passes, probe, reference, sparse, structure, tools
from watcher.rules.signature import Signature
from watcher.rules.statuses import IntegrityStatus, Mode, Reason

COMPLETE, INCOMPLETE, ERROR = IntegrityStatus.COMPLETE, IntegrityStatus.INCOMPLETE, IntegrityStatus.ERROR
REAL = {name: shutil.which(name) for name in ("ffmpeg", "ffprobe")}


@pytest.fixture(scope="module")
def ours():
    return asyncio.run(tools.find_tools())


@pytest.fixture
def film(tmp_path):
    return Path(shutil.copy(clips.path("mkv"), tmp_path / "film.mkv"))


@pytest.fixture
def with_script(ours, tmp_path):
    """Give tools in which a script stands for a program; in it, $REAL is the program itself."""

    def make(name: str, body: str, shebang: str = "#!/bin/sh") -> ffmpeg.Tools:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        script = folder / name
        script.write_text(f"{shebang}\nREAL={REAL[name]}\n{body}\n")
        script.chmod(0o755)
        programs = {"ffmpeg": ours.ffmpeg, "ffprobe": ours.ffprobe, name: str(script)}
        return ffmpeg.Tools(**programs, version=ours.version, codecs=ours.codecs)

    return make


async def verdict_of(using, path, mode=Mode.FULL, **options):
    result = await integrity.check(using, os.fsencode(path), mode, **options)
    return result.verdict


def children(name):
    """Give the numbers of our child processes of a name, those of scripts included."""
    found = subprocess.run(["ps", "-eo", "pid=,ppid=,comm="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in found.splitlines()]
    ours, more = {os.getpid()}, True
    while more:
        more = {int(pid) for pid, parent, _ in rows if int(parent) in ours} - ours
        ours |= more
    return [int(pid) for pid, _, comm in rows if int(pid) in ours and comm == name]


class Halfway:
    """Does something once, as soon as a decoder has shown that it is at work."""

    def __init__(self, act):
        self._act = act
        self.done = False

    def __call__(self, share):
        if share > 0 and not self.done:
            self.done = True
            self._act()


# --- FFmpeg itself

SLOW = 'exec $REAL -re "$@"'
"""A decoder that takes as long as the film: there is time to do something to it."""


@pytest.mark.parametrize(("number", "reason"), [(signal.SIGKILL, Reason.KILLED), (signal.SIGTERM, Reason.KILLED)])
async def test_a_signal_from_outside_is_no_damage(with_script, film, number, reason):
    """SIGTERM makes FFmpeg end its work properly, with a trailer and 255: still it was stopped."""
    kill = Halfway(lambda: [os.kill(pid, number) for pid in children("ffmpeg")])
    verdict = await verdict_of(with_script("ffmpeg", SLOW), film, on_progress=kill)
    assert kill.done
    assert (verdict.status, verdict.reason) == (ERROR, reason), verdict


async def test_a_stopped_ffmpeg_is_stalled_and_gone(with_script, film, monkeypatch):
    """SIGSTOP, as a hung disk has it too: it is ended though it stands still, and leaves no process."""
    monkeypatch.setattr(decode, "STALL_SEC", 1.5)
    stop = Halfway(lambda: [os.kill(pid, signal.SIGSTOP) for pid in children("ffmpeg")])
    verdict = await verdict_of(with_script("ffmpeg", SLOW), film, on_progress=stop)
    assert stop.done
    assert (verdict.status, verdict.reason) == (ERROR, Reason.STALLED), verdict
    assert children("ffmpeg") == []


async def test_a_cancelled_check_ends_a_stopped_ffmpeg(with_script, film):
    """It sees SIGTERM only when it is told to go on."""
    stopped = asyncio.Event()

    def stop():
        for pid in children("ffmpeg"):
            os.kill(pid, signal.SIGSTOP)
        stopped.set()

    task = asyncio.create_task(verdict_of(with_script("ffmpeg", SLOW), film, on_progress=Halfway(stop)))
    await asyncio.wait_for(stopped.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children("ffmpeg") == []
    assert ffmpeg.GRACE_SEC < 1


@pytest.mark.parametrize("name", ["ffmpeg", "ffprobe"])
@pytest.mark.parametrize(
    ("body", "shebang"),
    [
        ("exit 0", "#!/bin/sh"),
        ("exit 1", "#!/bin/sh"),
        ("echo '{}'; echo hello >&2", "#!/bin/sh"),
        ("echo hello >&2; exit 3", "#!/bin/sh"),
        ("exec /no/such/ffmpeg", "#!/bin/sh"),
        ("", "#!/no/such/shell"),
        ("\x7fELF", "\x7fELF"),
        ('exec $REAL -no_such_option "$@"', "#!/bin/sh"),
        ('echo "$0: error while loading shared libraries: libavcodec.so.59" >&2; exit 127', "#!/bin/sh"),
    ],
)
async def test_what_is_not_ffmpeg_says_nothing_about_a_film(with_script, film, name, body, shebang):
    """An upgrade half done, a wrapper gone wrong, a program of that name: whatever it exits with."""
    verdict = await verdict_of(with_script(name, body, shebang), film)
    assert (verdict.status, verdict.reason) == (ERROR, Reason.TOOL_MISSING), verdict


async def test_a_trailer_after_sigterm_is_no_success(with_script, film, tmp_path):
    """A script that ends FFmpeg early and exits with 0: the pass is made again, and that one counts."""
    calls, said = tmp_path / "calls", tmp_path / "said"
    said.touch()
    cut_off = f"""$REAL -re "$@" > {said} & pid=$!
        until grep -q "out_time_us=[$(wc -l < {calls})-9]......$" {said}; do sleep 0.1; done
        kill -TERM $pid; wait $pid; cat {said}; exit 0"""
    once = f'echo "$@" >> {calls}; [ $(wc -l < {calls}) -gt 1 ] && exec $REAL "$@"; {cut_off}'
    shutil.copy(clips.path("mkv", 8), film)
    verdict = await verdict_of(with_script("ffmpeg", once), film)
    assert verdict.status is COMPLETE, verdict
    assert len(calls.read_text().splitlines()) == 2
    calls.unlink()
    every = f'echo "$@" >> {calls}; {cut_off}'
    verdict = await verdict_of(with_script("ffmpeg", every), film)
    assert (verdict.status, verdict.reason) == (ERROR, Reason.KILLED), verdict


async def test_whatever_memory_there_is_a_whole_film_is_never_called_damaged(ours, tmp_path, monkeypatch):
    """From too little to load its libraries to just not enough for a picture of 8K, where decoders speak of damage."""
    film, run = tmp_path / "large.mkv", ffmpeg.run
    clips.ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=size=7680x4320:rate=5", "-frames:v", "4", "-c:v", "libx264"),
        *("-preset", "ultrafast", "-pix_fmt", "yuv420p", str(film)),
    )
    for mebibytes in (80, 400, 500):
        monkeypatch.setattr(ffmpeg, "run", functools.partial(run, memory_limit_bytes=mebibytes << 20))
        verdict = await verdict_of(ours, film, limit_sec=20)  # FFmpeg 8 without room for a thread waits for ever
        assert verdict.status is not INCOMPLETE, verdict
        # FFmpeg 5 says that it lacks memory, FFmpeg 8 aborts.
        assert mebibytes > 80 or verdict.reason in {Reason.OUT_OF_MEMORY, Reason.KILLED}, verdict
    monkeypatch.setattr(ffmpeg, "run", run)
    assert (await verdict_of(ours, film)).status is COMPLETE


async def test_a_child_has_the_limits_that_are_promised(with_script, film):
    """Address space, niceness, idle disk priority, picture size, threads and input formats: seen in the process itself."""
    seen = {}

    def look():
        for pid in children("ffmpeg"):
            seen["memory"] = resource.prlimit(pid, resource.RLIMIT_AS)
            seen["nice"] = os.getpriority(os.PRIO_PROCESS, pid)
            seen["session"] = os.getsid(pid)
            seen["ionice"] = subprocess.run(
                ["ionice", "-p", str(pid)], check=True, capture_output=True, text=True
            ).stdout.strip()
            seen["argv"] = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            seen["stdin"] = os.readlink(f"/proc/{pid}/fd/0")

    await verdict_of(with_script("ffmpeg", SLOW), film, on_progress=Halfway(look), threads=1)
    assert seen["memory"] == (4 << 30, 4 << 30)
    assert seen["nice"] >= min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
    assert seen["session"] != os.getsid(0)
    assert seen["ionice"].startswith("idle")
    assert seen["stdin"] == "/dev/null"
    argv = b" ".join(seen["argv"])
    for words in (b"-max_pixels 70000000", b"-threads 1", b"-protocol_whitelist file", b"-format_whitelist matroska"):
        assert words in argv
        assert argv.index(words) < argv.index(b"-i file:"), "an option of the input"


async def test_a_picture_too_large_to_decode_is_read_and_said_not_to_be_decoded(ours, tmp_path):
    """16384x12288 would take 350 MB a picture; the sound beside it is decoded."""
    bomb = tmp_path / "bomb.mkv"
    clips.ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=16384x12288:rate=1:duration=1", "-f", "lavfi", "-i", "sine=duration=1"),
        *("-c:v", "mjpeg", "-q:v", "31", "-c:a", "ac3", str(bomb)),
    )
    silent = tmp_path / "silent.mkv"
    clips.ffmpeg("-i", str(bomb), "-map", "0:v", "-c", "copy", str(silent))
    for film in (bomb, silent):
        verdict = await verdict_of(ours, film)
        assert verdict.status is COMPLETE, verdict
        assert "its picture is too large" in verdict.notes[0]


# --- the disk


@pytest.mark.usefixtures("may_not")
async def test_a_film_that_may_not_be_read_is_a_matter_of_permission(ours, film):
    """The film itself, and its folder."""
    film.chmod(0)
    verdict = await verdict_of(ours, film)
    assert (verdict.status, verdict.reason) == (ERROR, Reason.PERMISSION), verdict
    film.chmod(0o600)
    film.parent.chmod(0o600)
    verdict = await verdict_of(ours, film)
    film.parent.chmod(0o700)
    assert (verdict.status, verdict.reason) == (ERROR, Reason.PERMISSION), verdict


@pytest.mark.usefixtures("may_not")
@pytest.mark.parametrize("name", ["ffmpeg", "ffprobe"])
async def test_a_film_that_ffmpeg_may_not_read_is_a_matter_of_permission(with_script, film, name):
    """The right is taken away between our own reading and FFmpeg's."""
    verdict = await verdict_of(with_script(name, f'chmod 0 {film}; exec $REAL "$@"'), film)
    assert (verdict.status, verdict.reason) == (ERROR, Reason.PERMISSION), verdict


@contextlib.contextmanager
def failing_disk(folder, content):
    """Mount a small disk with a film on it; gives the film, and what makes the film's second half unreadable."""
    image, mount = folder / "disk.img", folder / "disk"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-O", "^has_journal", image], check=True)
    if os.geteuid() != 0 or subprocess.run(["mount", "-o", "loop", image, mount], check=False).returncode:
        pytest.skip("needs root and a loop device")
    try:
        film = mount / "film.mkv"
        film.write_bytes(content)
        os.sync()
        # The disk ends where the film's middle is stored, and nothing of it is in memory: the kernel gives EIO.
        script = f"""
import fcntl, os, struct
film = os.open({str(film)!r}, os.O_RDONLY)
size = os.fstatvfs(film).f_bsize
block, = struct.unpack("i", fcntl.ioctl(film, 1, struct.pack("i", os.fstat(film).st_size // 2 // size)))
os.truncate({str(image)!r}, block * size)
os.posix_fadvise(film, 0, 0, os.POSIX_FADV_DONTNEED)
"""
        yield film, (sys.executable, "-c", script)
    finally:
        subprocess.run(["umount", "-l", mount], check=True)


@pytest.mark.parametrize("when", ["before", "ffprobe", "ffmpeg"])
async def test_a_disk_that_fails_says_nothing_about_a_film(with_script, ours, tmp_path, when):
    """A real EIO, from the start or from the moment that FFmpeg reads: FFmpeg prints a line, and exits 0."""
    with failing_disk(tmp_path, clips.path("mkv", 20).read_bytes()) as (film, fail):
        using = ours
        if when == "before":
            subprocess.run(fail, check=True)
        else:
            (tmp_path / "fail.py").write_text(fail[-1])
            using = with_script(when, f'{sys.executable} {tmp_path}/fail.py; exec $REAL "$@"')
        verdict = await verdict_of(using, film)
        assert (verdict.status, verdict.reason) == (ERROR, Reason.IO_ERROR), verdict


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace to make a system call fail")
@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("ESTALE", Reason.IO_ERROR),
        ("EACCES", Reason.PERMISSION),
        ("ENOMEM", Reason.OUT_OF_MEMORY),
        ("EIO", None),
    ],
)
async def test_a_read_that_fails_once_says_nothing_about_a_film(with_script, film, tmp_path, number, reason):
    """FFmpeg exits 0 after each. EIO is also its word for content: the disk is read, the film decoded again."""
    first = tmp_path / "first"
    trace = f"strace -f -qq -o /dev/null -P {film} -e inject=read:error={number}:when=2+"
    using = with_script("ffmpeg", f'[ -e {first} ] && exec $REAL "$@"; : > {first}; exec {trace} $REAL "$@"')
    verdict = await verdict_of(using, film)
    assert verdict.reason is reason, verdict
    assert verdict.status is (ERROR if reason else COMPLETE)


# --- the film changes under the check


def replaced(film):
    shutil.copy(clips.path("mkv", 1), film.with_name("other"))
    os.replace(film.with_name("other"), film)


def appended(film):
    with film.open("ab") as file:
        file.write(bytes(1000))


def cut(film):
    os.truncate(film, film.stat().st_size // 2)


def overwritten(film):
    with film.open("r+b") as file:
        file.seek(5000)
        file.write(os.urandom(20000))


LAYERS = {
    "structure": (structure, "walk"),
    "holes": (sparse, "holes"),
    "probe": (probe, "ask"),
    "zeros": (sparse, "scan"),
    "reference": (reference, "digest"),
    "samples": (passes.Passes, "sample"),
    "decode": (passes.Passes, "whole"),
}


@pytest.mark.parametrize(
    "change", [replaced, appended, cut, overwritten, Path.unlink], ids=lambda change: change.__name__
)
@pytest.mark.parametrize("layer", LAYERS)
async def test_a_film_that_changes_during_a_layer_has_no_verdict(ours, film, monkeypatch, layer, change):
    """Whatever the layer, and those behind it, made of the mixture: it is about no film."""
    if layer == "samples":
        clips.ffmpeg("-stream_loop", "29", "-i", str(clips.path("mkv")), "-c", "copy", str(film))
    if layer == "reference":
        film.with_name("film.mkv.md5").write_text("0" * 32)
    owner, name = LAYERS[layer]
    real, changed = getattr(owner, name), []

    def first_change(*arguments, **options):
        if not changed:
            changed.append(True)
            change(film)
        return real(*arguments, **options)

    monkeypatch.setattr(owner, name, first_change)
    verdict = await verdict_of(ours, film, Mode.QUICK if layer == "samples" else Mode.FULL)
    assert changed
    assert (verdict.status, verdict.reason) == (ERROR, Reason.CHANGED_WHILE_CHECKING), verdict


@pytest.mark.parametrize("change", [replaced, appended, cut, Path.unlink], ids=lambda change: change.__name__)
async def test_a_film_that_changes_while_ffmpeg_reads_it_has_no_verdict(with_script, film, change):
    """In the middle of the decoding, not before it."""
    halfway = Halfway(lambda: change(film))
    verdict = await verdict_of(with_script("ffmpeg", SLOW), film, on_progress=halfway)
    assert halfway.done
    assert (verdict.status, verdict.reason) == (ERROR, Reason.CHANGED_WHILE_CHECKING), verdict


async def test_a_film_that_is_not_the_one_meant_has_no_verdict(ours, film):
    """It changed between the decision to check it and the check."""
    meant = Signature.of(film.stat())
    assert (await verdict_of(ours, film, expected=meant)).status is COMPLETE
    replaced(film)
    verdict = await verdict_of(ours, film, expected=meant)
    assert (verdict.status, verdict.reason) == (ERROR, Reason.CHANGED_WHILE_CHECKING)


# --- the whole service


@pytest.fixture
def slow_service(tmp_path):
    """Give a service whose first decoder takes as long as the film; a full check of eight seconds is under way then."""
    script, once = tmp_path / "ffmpeg", tmp_path / "once"
    script.write_text(
        f'#!/bin/sh\ncase "$*" in *-progress*) [ -e {once} ] || {{ : > {once}; exec {REAL["ffmpeg"]} -re "$@"; }};; esac\n'
        f'exec {REAL["ffmpeg"]} "$@"\n'
    )
    script.chmod(0o755)
    drop = tmp_path / "films"
    drop.mkdir()
    service = Service(
        tmp_path, drop, integrity_quick_mode=False, ffmpeg={"ffmpeg": str(script), "ffprobe": REAL["ffprobe"]}
    )
    yield service, drop
    if service._process is not None:
        service.stop()


def drop_and_wait_for_the_check(service, drop):
    film = drop / "film.mkv"
    shutil.copy(clips.path("mkv", 8), film)
    service.until((service.folder / "once").exists, "the film is being decoded")
    return film


def test_a_film_that_changes_under_its_check_is_looked_at_again_without_anybody_asking(slow_service):
    """Cut down in the middle of the check and written anew: the verdict is that of the new film."""
    service, drop = slow_service
    service.start()
    film = drop_and_wait_for_the_check(service, drop)
    os.truncate(film, 5000)
    shutil.copy(clips.path("mkv", 1), film)
    service.reaches(film, "COMPLETE", "IGNORED")
    assert service.moves(film).count("check_passed") == 1
    assert "check_failed" not in service.moves(film)


def test_a_root_pulled_away_under_a_check_says_nothing_about_its_film(slow_service, tmp_path):
    """A lazy unmount in the middle of the decoding: the film is neither gone nor broken, and whole when it is back."""
    service, drop = slow_service
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "--bind", disk, drop]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("needs to mount")
    try:
        service.start()
        film = drop_and_wait_for_the_check(service, drop)
        subprocess.run(["umount", "-l", drop], check=True)
        service.until(lambda: any(line["event"] == "root suspended" for line in service.lines()), "it is suspended")
        service.until(lambda: "check_undecided" in service.moves(film), "the check has ended")
        assert service.statuses(film)[::2] == ("ERROR", "root_suspended")
        subprocess.run(mount, check=True)
        service.reaches(film, "COMPLETE")
        assert {"gone", "check_failed"}.isdisjoint(service.moves(film))
    finally:
        service.stop()
        subprocess.run(["umount", "-l", drop], check=False)
