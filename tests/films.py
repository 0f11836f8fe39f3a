"""Tiny films for tests: made by FFmpeg once a session for each set of arguments, then copied."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


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


kinds: dict[str, dict] = {
    "english_51": {"audio": (Audio("eng", 6),)},
    "english_stereo": {"audio": (Audio("eng", 2),)},
    "commentary_only": {"audio": (Audio("eng", 6), Audio("eng", 2, "Director's commentary", "comment"))},
    "german": {"audio": (Audio("ger", 6),)},
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

_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 6: "5.1", 8: "7.1"}
_cache = Path(tempfile.mkdtemp(prefix="films-"))
atexit.register(shutil.rmtree, _cache, ignore_errors=True)


def film(
    path: os.PathLike | str,
    *,
    seconds: float = 2,
    audio: Sequence[Audio] = (Audio("eng", 6),),
    video: bool = True,
    subtitles: Sequence[Subtitle] = (),
    chapters: bool = False,
    font: bool = False,
    cover: bool = False,
    tags: dict[str, str] | None = None,
    extra: Sequence[str] = (),
) -> Path:
    """Put a film of 160x120 at `path`, its container by the extension; `extra` are options of the output."""
    path = Path(path)
    recipe = {"seconds": seconds, "audio": audio, "video": video, "subtitles": subtitles, "chapters": chapters}
    recipe |= {"font": font, "cover": cover, "tags": tags or {}, "extra": list(extra)}
    name = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16] + path.suffix
    kept = _cache / name
    if not kept.exists():
        _make(kept, **recipe)
    shutil.copyfile(kept, path)
    return path


def run_ffmpeg(*arguments: object) -> None:
    """Run ffmpeg; what it says is in the error when it fails."""
    command = ["ffmpeg", "-nostdin", "-hide_banner", "-v", "error", "-y", *map(os.fspath, map(_word, arguments))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stderr}"


def _word(argument: object) -> str | bytes | os.PathLike:
    return argument if isinstance(argument, (str, bytes, os.PathLike)) else str(argument)


def _make(path: Path, *, seconds, audio, video, subtitles, chapters, font, cover, tags, extra) -> None:
    with tempfile.TemporaryDirectory(dir=_cache) as folder:
        run_ffmpeg(
            *_arguments(path, Path(folder), seconds, audio, video, subtitles, chapters, font, cover, tags), *extra, path
        )


def _arguments(path, folder, seconds, audio, video, subtitles, chapters, font, cover, tags) -> list:
    mp4, webm = path.suffix in {".mp4", ".m4v", ".mov"}, path.suffix == ".webm"
    inputs: list = []
    outputs: list = []
    if video:
        inputs += ["-f", "lavfi", "-i", f"testsrc=size=160x120:rate=10:duration={seconds}"]
        codec = (
            ["libvpx", "-deadline", "realtime"] if webm else ["libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
        )
        outputs += ["-map", "0:v", "-c:v:0", *codec, "-g", 10]
    for number, track in enumerate(audio):
        outputs += ["-map", f"{inputs.count('-i')}:a"]
        inputs += ["-f", "lavfi", "-i", _sound(number, track.channels, seconds)]
        outputs += [f"-c:a:{number}", track.codec or _codec(track.channels, path.suffix)]
        outputs += _named(f"a:{number}", track.language, track.title, track.dispositions or "0", mp4)
    for number, track in enumerate(subtitles):
        (folder / f"{number}.srt").write_text(f"1\n00:00:00,200 --> 00:00:01,000\nLine {number}\n")
        outputs += ["-map", f"{inputs.count('-i')}:s"]
        inputs += ["-i", folder / f"{number}.srt"]
        outputs += [f"-c:s:{number}", "mov_text" if mp4 else "srt"]
        outputs += _named(f"s:{number}", track.language, track.title, track.dispositions or "0", mp4)
    if chapters:
        (folder / "chapters").write_text(_CHAPTERS)
        outputs += ["-map_chapters", inputs.count("-i")]
        inputs += ["-f", "ffmetadata", "-i", folder / "chapters"]
    if font:
        (folder / "Odd Name.ttf").write_bytes(b"\x00\x01\x00\x00" + bytes(range(256)) * 40)
        outputs += ["-attach", folder / "Odd Name.ttf", "-metadata:s:t:0", "mimetype=application/x-truetype-font"]
    outputs += _cover(folder, inputs, mp4, int(font)) if cover else []
    for key, value in tags.items():
        outputs += ["-metadata", f"{key}={value}"]
    return [*inputs, *outputs, "-t", seconds]


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


def _named(which: str, language: str, title: str, dispositions: str, mp4: bool) -> list[str]:
    words = [f"-disposition:{which}", dispositions]
    if language:
        words += [f"-metadata:s:{which}", f"language={language}"]
    if title:
        words += [f"-metadata:s:{which}", f"{'handler_name' if mp4 else 'title'}={title}"]
    return words


def _cover(folder: Path, inputs: list, mp4: bool, attachment: int) -> list:
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
