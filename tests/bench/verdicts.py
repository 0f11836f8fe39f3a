"""How often a verdict is right, and what it costs: every mode, and what others do, on films and damaged copies of them.

    python tests/bench/verdicts.py FOLDER [--modes quick,audio,full] [--jobs 2] [--limit N] [--ffmpeg PATH] [--only NAME]
                                    [--no-others] [--rows FILE]

FOLDER may hold a manifest.json: a list of {"file", "folder", "expected"}, expected being COMPLETE, INCOMPLETE or ERROR
(damaged). Without one every film in it is taken as intact. Of each intact film the copies of tests/damage.py are made,
one at a time, in the temporary folder. `--limit` takes so many films, evenly from the list; `--only` the variants whose
name begins so, several of them with commas between.

Or FOLDER holds copies that another generator has damaged, and its lists of them, NAME.variants.json: {"file", "variant",
"cls"}, cls being incomplete, corrupt, notmedia or benign. Then these are judged, as they are.

Printed: verdicts by variant and by container; every miss by name; CPU seconds beside a bare decoding of the same files
(our own included; `ffmpeg -i F -f null -`, with the same threads); and how three common rules judge the same files.
`--no-others` leaves out the last two, which take most of the time; `--rows` keeps one line of JSON a file, to compare two runs.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))
import damage

from watcher.media import integrity, structure, tools
from watcher.rules import names
from watcher.rules.statuses import IntegrityStatus, Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from watcher.media.ffmpeg import Tools

PEERS = ("exit code of a full decoding", "any line of a full decoding", "exit code of ffprobe")
LETTER = {IntegrityStatus.COMPLETE: "C", IntegrityStatus.INCOMPLETE: "I", IntegrityStatus.ERROR: "E"}


CLASSES: dict[str, damage.Expected] = {
    "incomplete": "partial",
    "corrupt": "corrupt",
    "notmedia": "partial",
    "benign": "whole",
}
OPEN = re.compile(r"flip\d\d|ts_cut|frag_cut")
"""Variants of other generators that nothing in the file tells of, or that are one bit."""


class Film(NamedTuple):
    """A file to judge, and what it should be called."""

    path: Path
    expected: damage.Expected
    variant: str = "as it is"
    of: str = ""
    """The film that it is a damaged copy of; "" for a film itself, of which copies will be made."""


class Row(NamedTuple):
    """What was said about one file, and at what price."""

    film: str
    container: str
    variant: str
    expected: damage.Expected
    verdicts: dict[str, tuple[str, str]]
    """By mode: the status's letter, and the sentence."""
    cpu: dict[str, float]
    """By mode, and "bare"."""
    peers: tuple[bool, ...]
    """Whether each peer's rule lets the file pass."""


# --- one film, in a process of its own


@functools.cache
def found_tools(program: str) -> Tools:
    return asyncio.run(tools.find_tools(program))


def work_off(film: Film, modes: tuple[Mode, ...], program: str, only: str, *, others: bool) -> list[Row]:
    """Judge a film and, if it is intact, its variants."""
    container = structure.walk(os.fsencode(film.path)).container or film.path.suffix.lower().lstrip(".")
    name = film.of or film.path.name
    look = functools.partial(judge, found_tools(program), modes, name, container, others=others)
    rows = [look(film.variant, film.expected, film.path)]
    if film.expected == "whole" and not film.of:
        with tempfile.TemporaryDirectory(prefix="verdicts-") as folder:
            for variant, copy in damage.variants(film.path, Path(folder), only=only):
                rows.append(look(variant.name, variant.expected, copy))
    return rows


def judge(
    ours: Tools,
    modes: tuple[Mode, ...],
    film: str,
    container: str,
    variant: str,
    expected: damage.Expected,
    path: Path,
    *,
    others: bool,
) -> Row:
    verdicts, cpu = {}, {}
    for mode in modes:
        before = cpu_sec()
        verdict = asyncio.run(integrity.check(ours, os.fsencode(path), mode)).verdict
        cpu[mode] = cpu_sec() - before
        verdicts[mode] = LETTER[verdict.status], verdict.sentence()
    passes = judge_as_others_do(ours, path, cpu) if others else (False,) * len(PEERS)
    return Row(film, container, variant, expected, verdicts, cpu, passes)


def judge_as_others_do(ours: Tools, path: Path, cpu: dict[str, float]) -> tuple[bool, ...]:
    """Give what each peer's rule says; the price of a bare decoding goes into `cpu`."""
    before = cpu_sec()
    # A damaged time stamp makes a bare ffmpeg repeat pictures until 13 GB are full of them.
    bounded = ("prlimit", f"--as={4 << 30}", "--cpu=600")
    decoding = (ours.ffmpeg, "-nostdin", "-v", "error", "-threads", "2", "-i", f"file:{path}", "-f", "null", "-")
    decoded = subprocess.run((*bounded, *decoding), capture_output=True, check=False)
    cpu["bare"] = cpu_sec() - before
    probed = subprocess.run([ours.ffprobe, "-v", "error", f"file:{path}"], capture_output=True, check=False)
    return decoded.returncode == 0, decoded.returncode == 0 and not decoded.stderr, probed.returncode == 0


def cpu_sec() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


# --- all films


def listed(folder: Path, only: str) -> list[Film]:
    if lists := sorted(folder.glob("*.variants.json")):
        return [
            film for path in lists for film in damaged_copies(path) if film.variant.startswith(tuple(only.split(",")))
        ]
    manifest = folder / "manifest.json"
    if not manifest.exists():
        films = (
            path for path in folder.rglob("*") if names.is_film_name(os.fsencode(path.name), names.DEFAULT_EXTENSIONS)
        )
        return [Film(path, "whole") for path in sorted(films) if path.is_file()]
    return [
        Film(folder / item["folder"] / item["file"], "whole" if item["expected"] == "COMPLETE" else "partial")
        for item in json.loads(manifest.read_text())
    ]


def damaged_copies(path: Path) -> Iterable[Film]:
    """Give the copies in another generator's list that lie beside it."""
    of = path.name.removesuffix(".variants.json")
    for item in json.loads(path.read_text()):
        copy = path.with_name(item["file"])
        if copy.exists():
            expected = "open" if OPEN.fullmatch(item["variant"]) else CLASSES[item["cls"]]
            yield Film(copy, expected, item["variant"], of + copy.suffix)


def spread(films: list[Film], limit: int) -> list[Film]:
    """Take some of them, by chance but always the same ones."""
    return sorted(random.Random(1).sample(films, min(limit, len(films)))) if limit else films


def all_rows(films: Iterable[Film], options: argparse.Namespace) -> list[Row]:
    modes = tuple(Mode(word) for word in options.modes.split(","))
    rows: list[Row] = []
    with ProcessPoolExecutor(options.jobs) as pool:
        work = functools.partial(
            work_off, modes=modes, program=options.ffmpeg, only=options.only, others=not options.no_others
        )
        waiting = [pool.submit(work, film) for film in films]
        for done, future in enumerate(waiting, 1):
            rows += future.result()
            print(f"\r{done} of {len(waiting)} films, {len(rows)} files", end="", file=sys.stderr)
    print(file=sys.stderr)
    return rows


# --- the report


def matrix(rows: list[Row], modes: list[str], title: str, key: Callable[[Row], str]) -> None:
    """Print, for each key and mode, how many were called COMPLETE, INCOMPLETE and ERROR."""
    print(f"\n{title:24}{'n':>5}  " + "".join(f"{f'{mode} C/I/E':>18}" for mode in modes))
    for name in dict.fromkeys(map(key, rows)):
        these = [row for row in rows if key(row) == name]
        counts = (Counter(row.verdicts[mode][0] for row in these) for mode in modes)
        told = "".join(f"{' / '.join(str(count[letter]) for letter in 'CIE'):>18}" for count in counts)
        print(f"{name:24}{len(these):5}  {told}")


def is_miss(expected: damage.Expected, *, passed: bool) -> bool:
    return expected != "open" and passed != (expected == "whole")


def misses(rows: list[Row], mode: str) -> None:
    print(f"\n{mode}: judged otherwise than expected")
    for row in rows:
        letter, sentence = row.verdicts[mode]
        if is_miss(row.expected, passed=letter == "C"):
            print(f"  {row.variant:15}{row.expected:9}{letter}  {row.film}  ({row.container})  {sentence[:110]}")


def rules(rows: list[Row], modes: list[str]) -> None:
    """Print every rule's errors in one table: ours, then the others'."""
    classes = ("partial", "corrupt", "whole")
    print(
        f"\n{'wrong, of':34}" + "".join(f"{f'{name} {sum(r.expected == name for r in rows)}':>14}" for name in classes)
    )
    verdicts = [(f"watcher {mode}", [row.verdicts[mode][0] == "C" for row in rows]) for mode in modes]
    peers = [(name, [row.peers[number] for row in rows]) for number, name in enumerate(PEERS) if "bare" in rows[0].cpu]
    for name, passed in (*verdicts, *peers):
        wrong = Counter(
            row.expected for row, passes in zip(rows, passed, strict=True) if is_miss(row.expected, passed=passes)
        )
        print(f"{name:34}" + "".join(f"{wrong[kind]:14}" for kind in classes))


def cost(rows: list[Row], modes: list[str]) -> None:
    print(f"\n{'CPU seconds':24}" + "".join(f"{name:>12}" for name in (*modes, "bare decode")))
    for title, these in (("intact as they are", [r for r in rows if r.variant == "as it is"]), ("all files", rows)):
        sums = [sum(row.cpu.get(name, 0.0) for row in these) for name in (*modes, "bare")]
        print(f"{title:24}" + "".join(f"{number:12.2f}" for number in sums))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--modes", default=",".join(Mode))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--limit", type=int, default=0, help="so many films only")
    parser.add_argument("--ffmpeg", default="", help="the ffmpeg to use; its ffprobe lies beside it or on PATH")
    parser.add_argument("--only", default="", help="only the variants whose name begins so, or so")
    parser.add_argument("--no-others", action="store_true", help="neither a bare decoding nor others' rules")
    parser.add_argument("--rows", type=Path, help="write one line of JSON a file")
    options = parser.parse_args()
    rows = all_rows(spread(listed(options.folder, options.only), options.limit), options)
    if options.rows:
        options.rows.write_text("".join(json.dumps(row._asdict()) + "\n" for row in rows))
    modes = options.modes.split(",")
    print(f"{len(rows)} files made of {len({row.film for row in rows})}; FFmpeg {found_tools(options.ffmpeg).version}")
    matrix(rows, modes, "variant", lambda row: f"{row.variant} ({row.expected})")
    matrix(
        sorted(rows, key=lambda row: (row.container, row.expected)),
        modes,
        "container",
        lambda row: f"{row.container} ({row.expected})",
    )
    for mode in modes:
        misses(rows, mode)
    rules(rows, modes)
    cost(rows, modes)


if __name__ == "__main__":
    main()
