"""Mutate real films and walk over them, until something raises, takes long, or contradicts itself.

    python tests/fuzz/structure.py FOLDER [--seconds N] [--seed N]

FOLDER holds the films to begin with. A find is written to a file beside where the script was started, with its seed,
and the script ends with 1.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from watcher.media import structure

if TYPE_CHECKING:
    from collections.abc import Sequence

SLOW_SEC = 5.0
"""A walk ends after 60,000 reads at the latest, which is a fifth of a second."""
SEED_BYTES = 4 << 20
NUMBERS = (b"\0", b"\xff", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\1", b"\x7f\xff\xff\xff", b"\1" + b"\xff" * 7)


def mutated(seeds: Sequence[bytes], chance: random.Random) -> bytes:
    """Change a film in a few of the ways that disks, networks and enemies have."""
    content = bytearray(chance.choice(seeds))
    for _ in range(chance.randrange(1, 8)):
        if not content:
            break
        at, length = _place(content, chance), chance.choice((1, 4, 16, 300, 5000))
        match chance.randrange(7):
            case 0:
                content[at : at + 1] = bytes((chance.randrange(256),))
            case 1:
                number = chance.choice(NUMBERS)
                content[at : at + len(number)] = number
            case 2:
                content[at : at + length] = bytes(min(length, len(content) - at))
            case 3:
                del content[at : at + length]
            case 4:
                content[at:at] = content[chance.randrange(len(content)) :][:length]
            case 5:
                other = chance.choice(seeds)
                content[at:at] = other[_place(other, chance) :][:length]
            case _:
                del content[at:]
    return bytes(content)


def _place(content: bytes | bytearray, chance: random.Random) -> int:
    """Give a byte, more often one of the head and the tail, where the headers are."""
    near = min(len(content), 2000)
    return chance.choice(
        (chance.randrange(near), len(content) - 1 - chance.randrange(near), chance.randrange(len(content)))
    )


def trouble_with(content: bytes, path: Path) -> str:
    """Walk over the content; give what is wrong with the walk, "" when nothing is."""
    path.write_bytes(content)
    started = time.perf_counter()
    try:
        found = structure.walk(os.fsencode(path))
    except Exception:  # noqa: BLE001 - whatever it raises is what is looked for
        return traceback.format_exc()
    if time.perf_counter() - started > SLOW_SEC:
        return f"it took {time.perf_counter() - started:.1f} s"
    if any(not 0 <= start <= end <= len(content) for start, end in found.payload):
        return f"payload outside of the file: {found.payload}"
    if found.status in {"cut", "damaged", "not_media"} and not found.reasons:
        return "it condemns without a reason"
    if found.declared_sec is not None and not 0 < found.declared_sec < 1e9:
        return f"a length of {found.declared_sec} s"
    return ""


def run(seeds: Sequence[bytes], first: int, count: int | None, seconds: float) -> tuple[int, str, bytes]:
    """Try seed after seed; give how many were tried, and the first find."""
    until, number = time.monotonic() + seconds, 0
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        while (count is None or number < count) and time.monotonic() < until:
            content = mutated(seeds, random.Random(first + number))
            number += 1
            if found := trouble_with(content, Path(folder, "film")):
                return number, f"seed {first + number - 1}: {found}", content
    return number, "", b""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    seeds = [path.read_bytes()[:SEED_BYTES] for path in sorted(options.folder.rglob("*")) if path.is_file()]
    tried, found, content = run(seeds, options.seed, None, options.seconds)
    print(f"{tried} walks over {len(seeds)} films")
    if found:
        Path("fuzz-find").write_bytes(content)
        print(f"{found}\nwritten to fuzz-find")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
