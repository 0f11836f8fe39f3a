"""What a check costs, beside FFmpeg decoding the same film to nothing with the same threads; all in one run.

    python tests/bench/bench_checks.py FOLDER [--minutes 5 40] [--containers mkv mp4] [--modes quick audio full]
                                              [--bare-minutes 5]

The films (720p H.264 with a key frame every 10 s, 5.1 sound) are made once, and kept in the folder. Before each measurement
the film is dropped from memory: "disk" is what was then read from it, by all processes together. The program's own
start is not counted: the service pays for it once. Aims: quick below 1 % of decoding a film of 40 minutes, and the same
for any length; full below 105 %. With --bare-minutes only so much of a film is decoded bare, and the rest reckoned.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from watcher.media import decode, ffmpeg, integrity, probe, tools
from watcher.rules.statuses import IntegrityStatus, Mode

SEED_SEC = 20
THREADS = 2
SOUND = {"mkv": ("ac3", "448k"), "mp4": ("aac", "384k")}


class Cost(NamedTuple):
    """What something took, of us and of the processes that we waited for."""

    cpu_sec: float
    wall_sec: float
    disk_bytes: int

    @classmethod
    def now(cls) -> Cost:
        both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        cpu = sum(usage.ru_utime + usage.ru_stime for usage in both)
        return cls(cpu, time.perf_counter(), 512 * sum(usage.ru_inblock for usage in both))

    def until_now(self) -> Cost:
        return Cost(*(after - before for after, before in zip(Cost.now(), self, strict=True)))


def film(folder: Path, minutes: float, container: str) -> Path:
    """Give a film, made by repeating a short one."""
    path = folder / f"{minutes:g}min.{container}"
    if path.exists():
        return path
    codec, rate = SOUND[container]
    seed, quiet = folder / f"seed.{container}", ("ffmpeg", "-nostdin", "-v", "error", "-y")
    if not seed.exists():
        picture = f"testsrc2=size=1280x720:rate=25:duration={SEED_SEC},noise=alls=12:allf=t"
        tones = "|".join(f"0.1*sin(2*PI*{220 + 60 * channel}*t)+0.02*random({channel})" for channel in range(6))
        sound = f"aevalsrc={tones}:s=48000:c=5.1:d={SEED_SEC}"
        x264 = ("-c:v", "libx264", "-preset", "medium", "-b:v", "2500k", "-g", "250", "-keyint_min", "250")
        inputs = ("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound)
        subprocess.run([*quiet, *inputs, *x264, "-c:a", codec, "-b:a", rate, seed], check=True)
    loops = round(minutes * 60 / SEED_SEC) - 1
    subprocess.run([*quiet, "-stream_loop", str(loops), "-i", seed, "-c", "copy", path], check=True)
    return path


def forget(path: Path) -> None:
    """Drop a film from the kernel's memory."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


async def bare(using: ffmpeg.Tools, path: Path, minutes: float, whole: float) -> Cost:
    """Decode with the very command of a full check, and nothing around it: so many minutes, reckoned for the whole."""
    chosen = decode.choose(await probe.probe(using, os.fsencode(path)), using)
    part = decode.Window(0, minutes * 60) if minutes < whole else None
    argv = decode.command(using, os.fsencode(path), chosen, threads=THREADS, window=part)
    forget(path)
    began = Cost.now()
    subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    cost = began.until_now()
    times = whole / minutes if part else 1
    return Cost(cost.cpu_sec * times, cost.wall_sec * times, round(cost.disk_bytes * times))


async def checked(using: ffmpeg.Tools, path: Path, mode: Mode) -> Cost:
    forget(path)
    began = Cost.now()
    verdict = (await integrity.check(using, os.fsencode(path), mode, threads=THREADS)).verdict
    assert (verdict.status, verdict.mode) == (IntegrityStatus.COMPLETE, mode), verdict
    return began.until_now()


async def measure(options: argparse.Namespace) -> None:
    using = await tools.find_tools(options.ffmpeg)
    print(f"FFmpeg {using.version}, {THREADS} threads")
    print(f"{'film':<12}{'what':<8}{'CPU s':>9}{'wall s':>9}{'disk MB':>9}{'of bare':>9}")
    for minutes in options.minutes:
        for container in options.containers:
            path = film(options.folder, minutes, container)
            plain = await bare(using, path, options.bare_minutes, minutes)
            costs = {"bare": plain} | {mode: await checked(using, path, Mode(mode)) for mode in options.modes}
            for what, cost in costs.items():
                share = 100 * cost.cpu_sec / plain.cpu_sec
                numbers = f"{cost.cpu_sec:9.2f}{cost.wall_sec:9.2f}{cost.disk_bytes / 1e6:9.1f}{share:8.2f}%"
                print(f"{path.name:<12}{what:<8}{numbers}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[5, 40])
    parser.add_argument("--containers", nargs="+", choices=SOUND, default=list(SOUND))
    parser.add_argument(
        "--modes", nargs="*", choices=[str(mode) for mode in Mode], default=[str(mode) for mode in Mode]
    )
    parser.add_argument("--bare-minutes", type=float, default=float("inf"))
    parser.add_argument("--ffmpeg", default="", help="the program to use instead of the one on PATH")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(measure(options))


if __name__ == "__main__":
    main()
