"""Tiny films for tests: made by FFmpeg once a process for each set of arguments, then copied.

A film is a moving test picture of 160x120, and a pitch of its own for every track and channel: no two streams are
equal and no channel is silent. Making one takes a tenth of a second.
"""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import json
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from watcher.errors import ToolError
from watcher.media import ffmpeg, tools

if TYPE_CHECKING:
    from collections.abc import Sequence

_LIMIT_SEC = 120.0


class Audio(NamedTuple):
    """One sound track."""

    language: str = "eng"
    """"" leaves the tag out."""
    channels: int = 6
    title: str = ""
    dispositions: str = ""
    """As ffmpeg's -disposition takes them: "default", "comment", "default+forced", ..."""
    codec: str = ""
    """"" takes what suits the container."""


class Subtitle(NamedTuple):
    """One track of subtitles."""

    language: str = "eng"
    title: str = ""
    dispositions: str = ""


kinds: dict[str, dict[str, Any]] = {
    "english_51": {"audio": (Audio("eng", 6),)},
    "english_stereo": {"audio": (Audio("eng", 2),)},
    "commentary_only": {"audio": (Audio("eng", 6), Audio("eng", 2, "Director's commentary", "comment"))},
    "german": {"audio": (Audio("ger", 6),)},
    "untagged": {"audio": (Audio("", 6),)},
    "silent": {"audio": ()},
    "everything": {
        "audio": (
            Audio("eng", 6, "English 5.1", "default"),
            Audio("ger", 6, "Deutsch"),
            Audio("eng", 2, "Commentary by the cast", "comment"),
        ),
        "subtitles": (Subtitle("eng", "Signs", "forced"), Subtitle("eng", "SDH", "hearing_impaired")),
        "chapters": True,
        "font": True,
        "cover": True,
        "tags": {"title": "A fïlm = \"odd\"; 'quoted' #1\\2", "comment": "two\nlines"},
    },
}
"""Arguments of `film` by name; `everything` is for MKV, and for MP4 with font=False."""


class _Recipe(NamedTuple):
    seconds: float
    audio: tuple[Audio, ...]
    video: bool
    subtitles: tuple[Subtitle, ...]
    chapters: bool
    font: bool
    cover: bool
    tags: dict[str, str]
    extra: tuple[object, ...]


_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 6: "5.1", 8: "7.1"}
_cache = Path(tempfile.mkdtemp(prefix="films-"))
atexit.register(shutil.rmtree, _cache, ignore_errors=True)


def film(
    path: os.PathLike[str] | str,
    *,
    seconds: float = 2,
    audio: Sequence[Audio] = (Audio("eng", 6),),
    video: bool = True,
    subtitles: Sequence[Subtitle] = (),
    chapters: bool = False,
    font: bool = False,
    cover: bool = False,
    tags: dict[str, str] | None = None,
    extra: Sequence[object] = (),
) -> Path:
    """Put a film at `path`, its container by the extension; `extra` are options of the output. Raises ToolError."""
    path = Path(path)
    recipe = _Recipe(seconds, tuple(audio), video, tuple(subtitles), chapters, font, cover, tags or {}, tuple(extra))
    kept = _cache / (hashlib.sha256(json.dumps(recipe, default=str).encode()).hexdigest()[:16] + path.suffix)
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir=_cache) as folder:
            run_ffmpeg(*_arguments(kept.suffix, Path(folder), recipe), *recipe.extra, kept)
    shutil.copyfile(kept, path)
    return path


def run_ffmpeg(*arguments: object) -> None:
    """Run ffmpeg, also where an event loop runs; raises ToolError with what it says when it fails."""
    # A loop of its own in a thread of its own: processes are started in one place only, and that is asynchronous.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(
            asyncio.run, _run([_program(), "-nostdin", "-hide_banner", "-v", "error", "-y", *arguments])
        ).result()


async def _run(words: list[object]) -> None:
    command = [os.fsencode(word) if isinstance(word, bytes | os.PathLike) else str(word) for word in words]
    done = await ffmpeg.run(command, time_limit_sec=_LIMIT_SEC)
    if done.returncode != 0:
        raise ToolError(f"ffmpeg failed: {' '.join(map(str, command))}\n" + "\n".join(done.stderr_lines))


@cache
def _program() -> str:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, tools.find_tools()).result().ffmpeg


def _arguments(suffix: str, folder: Path, recipe: _Recipe) -> list[object]:
    mp4 = suffix in {".mp4", ".m4v", ".mov"}
    inputs: list[object] = []
    outputs: list[object] = []
    if recipe.video:
        inputs += ["-f", "lavfi", "-i", f"testsrc=size=160x120:rate=10:duration={recipe.seconds}"]
        outputs += ["-map", "0:v", "-c:v:0", *_VIDEO.get(suffix, _X264), "-g", 10]
    for number, track in enumerate(recipe.audio):
        outputs += ["-map", f"{inputs.count('-i')}:a"]
        inputs += ["-f", "lavfi", "-i", _sound(number, track.channels, recipe.seconds)]
        outputs += [f"-c:a:{number}", track.codec or _codec(track.channels, suffix)]
        outputs += _named(f"a:{number}", track.language, track.title, track.dispositions or "0", mp4)
    for number, words in enumerate(recipe.subtitles):
        (folder / f"{number}.srt").write_text(f"1\n00:00:00,200 --> 00:00:01,000\nLine {number}\n")
        outputs += ["-map", f"{inputs.count('-i')}:s"]
        inputs += ["-i", folder / f"{number}.srt"]
        outputs += [f"-c:s:{number}", "mov_text" if mp4 else "srt"]
        outputs += _named(f"s:{number}", words.language, words.title, words.dispositions or "0", mp4)
    if recipe.chapters:
        (folder / "chapters").write_text(_CHAPTERS)
        outputs += ["-map_chapters", inputs.count("-i")]
        inputs += ["-f", "ffmetadata", "-i", folder / "chapters"]
    if recipe.font:
        (folder / "Odd Name.ttf").write_bytes(b"\x00\x01\x00\x00" + bytes(range(256)) * 40)
        outputs += ["-attach", folder / "Odd Name.ttf", "-metadata:s:t:0", "mimetype=application/x-truetype-font"]
    outputs += _cover(folder, inputs, mp4, int(recipe.font)) if recipe.cover else []
    for key, value in recipe.tags.items():
        outputs += ["-metadata", f"{key}={value}"]
    return [*inputs, *outputs, "-t", recipe.seconds]


_X264 = ("libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
_VIDEO = {".webm": ("libvpx", "-deadline", "realtime")}


def _sound(number: int, channels: int, seconds: float) -> str:
    # A pitch for every track and channel, so that no two streams are equal and no channel is silent.
    tones = "|".join(f"0.1*sin(2*PI*{200 + 170 * number + 60 * channel}*t)" for channel in range(channels))
    return f"aevalsrc={tones}:s=48000:c={_LAYOUTS[channels]}:d={seconds}"


def _codec(channels: int, suffix: str) -> str:
    if suffix == ".webm":
        return "libopus"
    if suffix in {".avi", ".mpg", ".ts", ".flv", ".wmv"}:
        return "mp3" if suffix == ".flv" else "ac3"
    return "aac" if channels in {1, 2, 8} else "ac3"


def _named(which: str, language: str, title: str, dispositions: str, mp4: bool) -> list[object]:
    words: list[object] = [f"-disposition:{which}", dispositions]
    if language:
        words += [f"-metadata:s:{which}", f"language={language}"]
    if title:
        words += [f"-metadata:s:{which}", f"{'handler_name' if mp4 else 'title'}={title}"]
    return words


def _cover(folder: Path, inputs: list[object], mp4: bool, attachment: int) -> list[object]:
    picture = folder / "cover.jpg"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x96:duration=1:rate=1", "-frames:v", 1, picture)
    if not mp4:
        which = f"-metadata:s:t:{attachment}"
        return ["-attach", picture, which, "mimetype=image/jpeg", which, "filename=cover.jpg"]
    number = inputs.count("-i")
    inputs += ["-i", picture]
    return ["-map", f"{number}:v", "-c:v:1", "copy", "-disposition:v:1", "attached_pic"]


_CHAPTERS = """;FFMETADATA1
[CHAPTER]
TIMEBASE=1/1000
START=0
END=900
title=Opening \\= one
[CHAPTER]
TIMEBASE=1/1000
START=900
END=2000
title=Zweites Kapitel
"""
