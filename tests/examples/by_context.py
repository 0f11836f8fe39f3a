"""A film encoded in pieces, in a block that can be paused, left and resumed.

    python by_context.py FILM OUTPUT [--preset PRESET] [--seconds N]

Ctrl-C pauses, FFmpeg included; Enter goes on, Ctrl-C again saves and leaves. Stopped in any way and started again, it
goes on with the piece it was at.
"""

import argparse
import os
import subprocess
from pathlib import Path

from watcher.operations import StateAwareOperation, TranscodeOperation


def run(manager, *words):
    """Run FFmpeg so that it stops with a pause, hears no Ctrl-C of its own, and does not outlive this script."""
    command = ["setpriv", "--pdeathsig", "KILL", "ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, words)]
    with subprocess.Popen(command, start_new_session=True) as process, manager.pauses.children.allow(process):
        if process.wait():
            raise RuntimeError(f"ffmpeg failed at {manager.state.current_step}")


def duration_of(film):
    command = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", film]
    return float(subprocess.run(command, capture_output=True, check=True).stdout)


def encode(manager, args):
    if not manager.is_done("probe"):
        manager.update_step("probe")
        manager.update_step("encode", 0, {"duration": duration_of(args.film)})
    count = max(1, int(manager.state.data["duration"] / args.seconds))
    pieces = [args.output.with_suffix(f".{number}.mkv") for number in range(count)]
    for number, piece in enumerate(pieces):
        manager.check_pause_point()
        if not manager.is_done(piece.name):
            manager.update_step(piece.name, 95 * number / count)
            length = () if number == count - 1 else ("-t", args.seconds)  # the last one takes the rest
            cut = ("-ss", number * args.seconds, *length, "-i", args.film)
            run(manager, *cut, "-an", "-c:v", "libx264", "-threads", 1, "-preset", args.preset, piece)
    manager.update_step("join", 95)
    listed = args.output.with_suffix(".txt")
    listed.write_text("".join(f"file '{piece.resolve()}'\n" for piece in pieces))
    run(manager, "-f", "concat", "-safe", 0, "-i", listed, "-c", "copy", "-fflags", "+bitexact", args.output)
    for leftover in (listed, *pieces):
        os.unlink(leftover)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("film", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--preset", default="medium")
    parser.add_argument("--seconds", type=float, default=60)
    args = parser.parse_args()
    settings = {"encoder": "libx264", "preset": args.preset, "extra_args": {"seconds": args.seconds}}
    with StateAwareOperation(TranscodeOperation("pieces", args.film, args.output, **settings)) as manager:
        print(f"from {manager.state.current_step}, {manager.state.progress_percent:.0f} %", flush=True)
        encode(manager, args)


if __name__ == "__main__":
    main()
