"""What a conversion keeps, film by film: every one of a folder is given a stereo track, and the result is looked at anew.

    python tests/bench/bench_conversion.py FOLDER [--ffmpeg PATH] [--only NAME] [--set allow_data_loss=true ...]
    python tests/bench/bench_conversion.py FOLDER --cost     beside FFmpeg's bare command, in the same run
    python tests/bench/bench_conversion.py FOLDER --twice    by the service, and then once more: nothing may change

Each film with picture and sound is copied to a temporary folder and converted there by the library, its best sound
track being taken for English: no tag is needed then, and the film goes in as it is and not as a remux would make it.
What came out is compared with what went in by commands of this script's own: the packets of every kept stream (for a
picture that changed its container: the decoded pictures), lengths, chapters, names, and whether ffprobe has anything
to complain about. Printed: a line a film, then every refusal by its reason, and every difference by name.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from watcher.config import StateConfig
from watcher.errors import ConversionFailed, ProbeFailed
from watcher.media import encoder, ffmpeg, probe, remux, stereo, tools
from watcher.rules.audio import Decision, is_picture
from watcher.service import log
from watcher.service.manager import StateManager

if TYPE_CHECKING:
    from collections.abc import Iterator

    from watcher.media.ffmpeg import Argument, Tools
    from watcher.media.layout import Plan
    from watcher.media.probe import Probe
    from watcher.rules.audio import Stream


class Row(NamedTuple):
    """What became of one film."""

    film: str
    container: str
    streams: int
    outcome: str
    """converted, sidecar, remuxed, no film, or the reason of a refusal."""
    detail: str = ""
    equal: int = 0
    """Kept streams whose packets (or pictures) are those of the film."""
    kept: int = 0
    differences: tuple[str, ...] = ()


def best_sound(film: Probe) -> Decision | None:
    """Give the decision to make the track, whatever the tags and the number of channels say."""
    sound = [s for s in film.streams if s.kind == "audio" and s.codec and s.channels]
    if not sound or not any(map(is_picture, film.streams)):
        return None
    return Decision("make", "english_surround", "", source=max(sound, key=lambda s: s.channels).index)


async def convert(film: Path, folder: Path, ours: Tools, settings: stereo.StereoSettings) -> Row:
    path, temp = os.fsencode(folder / film.name), os.fsencode(folder / ".watcher-bench.tmp")
    shutil.copyfile(film, path)
    try:
        before = await probe.probe(ours, path)
    except ProbeFailed as error:
        return Row(film.name, "?", 0, "no film", str(error).replace(str(folder), ""))
    start = Row(film.name, before.format_name.split(",")[0], len(before.streams), "no film")
    decision = best_sound(before)
    if decision is None:
        return start
    try:
        plan = stereo.plan(before, decision, path, settings)
        proof = (await stereo.make(ours, path, temp, before, decision, settings)).to_dict()
    except ConversionFailed as error:
        return start._replace(outcome=error.reason, detail=error.detail)
    after = await probe.probe(ours, temp)
    pairs = [(entry["film"], entry["result"]) for entry in proof["streams"]]
    looked = list(look(ours, (path, before), (temp, after), pairs))
    return start._replace(
        outcome="converted" if plan.target == path else os.fsdecode(os.path.splitext(plan.target)[1]) + " beside",
        kept=len(pairs),
        equal=len(pairs) - sum(said.startswith("packets") for said in looked),
        differences=(*looked, *sane(ours, temp, before, after, path)),
    )


def look(
    ours: Tools, film: tuple[bytes, Probe], result: tuple[bytes, Probe], pairs: list[tuple[int, int]]
) -> Iterator[str]:
    """Name every kept stream that is not the same in both files."""
    for number, place in pairs:
        old = next(s for s in film[1].streams if s.index == number)
        new = next(s for s in result[1].streams if s.index == place)
        for fact in ("kind", "codec", "title", "dispositions", "channels"):
            if getattr(old, fact) != getattr(new, fact):
                yield f"stream {number}: {fact} was {getattr(old, fact)}, is {getattr(new, fact)}"
        if {old.language, new.language} - {"", "und"} and old.language != new.language:
            yield f"stream {number}: it was in {old.language!r}, is in {new.language!r}"
        same_container = film[1].format_name == result[1].format_name
        if hashed(ours, film[0], old, copy=same_container) != hashed(ours, result[0], new, copy=same_container):
            yield f"packets of stream {number} ({old.kind} {old.codec}) differ"


def hashed(ours: Tools, path: bytes, stream: Stream, *, copy: bool) -> bytes:
    """Hash one stream; across containers its decoded pictures or sound, as its packets may be packed in another way."""
    how = (
        ["-c", "copy"] if copy or stream.kind == "subtitle" else ["-fps_mode", "passthrough"] * (stream.kind == "video")
    )
    command = [ours.ffmpeg, "-v", "quiet", "-i", b"file:" + path, "-map", f"0:{stream.index}", *how]
    return subprocess.run([*command, "-f", "streamhash", "-"], capture_output=True, check=False).stdout.split(b"=")[-1]


def sane(ours: Tools, path: bytes, before: Probe, after: Probe, film: bytes) -> Iterator[str]:
    """Name what a player would stumble over."""
    said = subprocess.run([ours.ffprobe, "-v", "error", b"file:" + path], capture_output=True, check=False).stderr
    known = subprocess.run([ours.ffprobe, "-v", "error", b"file:" + film], capture_output=True, check=False).stderr
    if said and not known:
        yield f"ffprobe complains: {said.decode('utf-8', 'replace').splitlines()[0]}"
    long, now = (length(ours, file) for file in (film, path))
    if abs(long - now) > 0.5:
        yield f"its picture was {long:.2f} s long, is {now:.2f}"
    if len(before.chapters) != len(after.chapters):
        yield f"it had {len(before.chapters)} chapters, has {len(after.chapters)}"


def length(ours: Tools, path: bytes) -> float:
    """Measure the picture by its packets: what headers say may be old or wrong."""
    command = [ours.ffmpeg, "-v", "quiet", "-i", b"file:" + path, "-map", "0:V:0", "-c", "copy", "-progress", "pipe:1"]
    said = subprocess.run([*command, "-f", "null", "/dev/null"], capture_output=True, check=False).stdout
    ends = [line[12:] for line in said.splitlines() if line.startswith(b"out_time_us=") and line[12:] != b"N/A"]
    return int(ends[-1]) / 1e6 if ends else 0.0


async def work(options: argparse.Namespace, settings: stereo.StereoSettings) -> list[Row]:
    ours = await tools.find_tools(options.ffmpeg)
    print(f"FFmpeg {ours.version}")
    rows = []
    for film in sorted(options.folder.iterdir()):
        if film.is_file() and film.name.startswith(options.only):
            with tempfile.TemporaryDirectory(dir=options.temp, prefix="conversion-") as folder:
                row = await convert(film, Path(folder), ours, settings)
            rows.append(row)
            if row.outcome != "no film":
                equal = f"{row.equal}/{row.kept}" if row.kept else ""
                print(
                    f"{row.film:60.60} {row.container:10.10} {row.streams:3}  {row.outcome:20} {equal:6} {row.detail}"
                )
            for difference in row.differences:
                print(f"    {difference}")
    return rows


# --- what it costs


async def cost(options: argparse.Namespace, settings: stereo.StereoSettings) -> None:
    """Print the CPU seconds of whole conversions beside those of the command that makes the result."""
    ours = await tools.find_tools(options.ffmpeg)
    for film in chosen(options):
        before = await probe.probe(ours, os.fsencode(film))
        decision = best_sound(before)
        if decision is None:
            continue
        with tempfile.TemporaryDirectory(dir=options.temp, prefix="conversion-") as folder:
            result = os.fsencode(os.path.join(folder, ".watcher-bench.tmp"))
            began = resource.getrusage(resource.RUSAGE_SELF)
            proof = await stereo.make(ours, os.fsencode(film), result, before, decision, settings)
            ended = resource.getrusage(resource.RUSAGE_SELF)
            plan = stereo.plan(before, decision, os.fsencode(film), settings)
            words = in_one_pass(ours, os.fsencode(film), result, before, plan, settings, str(proof.made["filter"]))
            bare = (await ffmpeg.run(words, time_limit_sec=36_000)).cpu_sec
        python = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
        whole, memory = proof.cpu_sec + python, ended.ru_maxrss >> 10
        print(
            f"{film.name:60.60} bare {bare:8.2f}  with its proof {whole:8.2f} (Python {python:.2f}) CPU s"
            f"  ratio {whole / bare:.3f}  memory {memory} MB"
        )


def in_one_pass(
    ours: Tools, film: bytes, result: bytes, before: Probe, plan: Plan, settings: stereo.StereoSettings, sound: str
) -> list[Argument]:
    """Give the command that makes the result from the film alone, proves nothing, and cannot be gone on with."""
    words = remux.command(ours, film, b"/track", result, before, plan, settings)
    words = words[: words.index(ffmpeg.source(result)) + 1]
    first, track = (at for at, word in enumerate(words) if word == "-i")
    del words[first + 2 : track + 2]
    words[words.index("1:0")] = f"0:{plan.made_from}"
    codec, rate = encoder.options(plan.codec, settings)[1:4:2]
    new = [f"-c:{plan.made_at}", codec, f"-b:{plan.made_at}", rate, f"-filter:{plan.made_at}", sound]
    return [*words[:-3], *new, *words[-3:]]


# --- a second time


async def twice(options: argparse.Namespace) -> bool:
    """Let the service work a copy of the folder off, go on, and begin anew; tell whether only the first changed it."""
    with tempfile.TemporaryDirectory(dir=options.temp, prefix="conversion-") as top:
        root = Path(top) / "films"
        root.mkdir()
        for film in chosen(options):
            shutil.copyfile(film, root / film.name)
        seen = [state_of(root)]
        for database in ("one.db", "one.db", "two.db"):
            config = StateConfig(
                storage_url=str(Path(top) / database),
                stable_wait_sec=0,
                settle_sec=0,
                integrity_quick_mode=True,
                audio={"untagged_is_english": True},
                ffmpeg={"ffmpeg": options.ffmpeg},
            )
            async with StateManager(config) as manager:
                await manager.discover_directory(os.fsencode(root))
                await manager.process_pending()
            seen.append(state_of(root))
    first, again, anew = (len(now ^ was) for was, now in itertools.pairwise(seen))
    print(f"{len(seen[0])} films; changed or made: {first} at first, {again} the second time, {anew} by a new database")
    return again == anew == 0


def state_of(folder: Path) -> set[tuple[str, int, int, int]]:
    found = ((path.name, path.stat()) for path in folder.iterdir())
    return {(name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in found}


def chosen(options: argparse.Namespace) -> list[Path]:
    return [film for film in sorted(options.folder.iterdir()) if film.is_file() and film.name.startswith(options.only)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ffmpeg", default="")
    parser.add_argument("--only", default="", help="films whose name begins so")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of [audio]")
    parser.add_argument("--temp", type=Path)
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--twice", action="store_true")
    options = parser.parse_args()
    settings = stereo.StereoSettings(
        **{
            name: json.loads(value) if value[:1] in "0123456789tf" else value
            for name, value in (word.split("=", 1) for word in options.set)
        }
    )
    log.set_up("warning", "pretty", sys.stderr)
    if options.twice:
        sys.exit(int(not asyncio.run(twice(options))))
    if options.cost:
        asyncio.run(cost(options, settings))
        return
    rows = asyncio.run(work(options, settings))
    counts = Counter(row.outcome for row in rows)
    print("\n" + ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common()))
    kept, equal = sum(row.kept for row in rows), sum(row.equal for row in rows)
    print(f"{equal} of {kept} kept streams are the same; {sum(bool(row.differences) for row in rows)} films differ")
    sys.exit(int(any(row.differences for row in rows)))


if __name__ == "__main__":
    main()
