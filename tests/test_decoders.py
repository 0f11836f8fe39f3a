"""media/decoders: what FFmpeg's own way of decoding would pass over."""

import dataclasses
import os

import clips
import pytest

from watcher.media import decoders, integrity, structure
from watcher.media.ffmpeg import Tools
from watcher.rules.audio import Stream
from watcher.rules.statuses import IntegrityStatus, Mode

COMPLETE, INCOMPLETE = IntegrityStatus.COMPLETE, IntegrityStatus.INCOMPLETE
TOOLS = Tools("ffmpeg", "ffprobe", "5", decoders=frozenset({"libvpx-vp9", "libdav1d"}))


async def status_of(tools, path):
    return (await integrity.check(tools, os.fsencode(path), Mode.FULL)).verdict.status


async def test_a_changed_vp9_picture_is_seen_by_libvpx_only(ours, tmp_path):
    """FFmpeg's own decoder makes some picture of anything, and says nothing."""
    film = tmp_path / "film.mp4"
    clips.ffmpeg(
        *(
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=160x120:rate=10:duration=2",
            "-c:v",
            "libvpx-vp9",
            "-deadline",
            "realtime",
        ),
        *("-b:v", "300k", "-pix_fmt", "yuv420p", str(film)),
    )
    whole = await status_of(ours, film)
    content = bytearray(film.read_bytes())
    ((start, end),) = structure.walk(os.fsencode(film)).payload
    for at in range(start + (end - start) // 2, end, 97):
        content[at] ^= 0x10
    film.write_bytes(content)
    plain = dataclasses.replace(ours, decoders=frozenset())
    assert (whole, await status_of(plain, film), await status_of(ours, film)) == (COMPLETE, COMPLETE, INCOMPLETE)


async def test_a_picture_of_hevc_that_ends_early_is_damage(ours, tmp_path):
    """Up to FFmpeg 7.0, whose decoder counts what it finished; a newer one says nothing."""
    film, hevc = tmp_path / "film.mp4", [Stream(0, "video", "hevc")]
    clips.ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=640x480:rate=10:duration=1", "-c:v", "libx265", "-preset", "ultrafast"),
        *("-x265-params", "log-level=none", "-pix_fmt", "yuv420p", str(film)),
    )
    whole = await status_of(ours, film)
    content = bytearray(film.read_bytes())
    at = content.index(b"mdat") + (len(content) - content.index(b"mdat")) // 3
    content[at : at + 48] = bytes(255 - byte for byte in content[at : at + 48])
    film.write_bytes(content)
    deaf = dataclasses.replace(ours, version="8.0")
    expected = INCOMPLETE if decoders.counts_pictures(hevc, ours) else COMPLETE
    assert (whole, await status_of(deaf, film), await status_of(ours, film)) == (COMPLETE, COMPLETE, expected)


@pytest.mark.parametrize(
    ("version", "does"), [("5.1.9-0+deb12u1", True), ("n7.0.2", True), ("7.1.1", False), ("N-1", False)]
)
def test_only_early_versions_are_asked_for_everything_they_have_to_say(version, does):
    """And only for the codec whose decoder counts its pictures."""
    tools = dataclasses.replace(TOOLS, version=version)
    assert decoders.counts_pictures([Stream(0, "video", "hevc")], tools) is does
    assert not decoders.counts_pictures([Stream(0, "video", "h264")], tools)


@pytest.mark.parametrize("form", ["f32le", "f64le"])
async def test_a_sample_that_nobody_recorded_is_damage(ours, tmp_path, form):
    """Every value is a sample to the decoder of float PCM; of one 700 dB above full scale it says nothing."""
    film = tmp_path / "sound.mkv"
    clips.ffmpeg("-i", str(clips.path("wav")), "-c:a", f"pcm_{form}", "-write_crc32", "0", str(film))
    whole = await status_of(ours, film)
    content = bytearray(film.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 64] = b"\x7e" * 64
    film.write_bytes(content)
    assert (whole, await status_of(ours, film)) == (COMPLETE, INCOMPLETE)


def test_a_closer_look_is_taken_where_ffmpeg_has_it():
    """By the stream's number, for whole decodings only."""
    vp9 = Stream(3, "video", "vp9", raw={"codec_name": "vp9"})
    assert decoders.chosen([vp9], TOOLS, strict=True) == ("-c:3", "libvpx-vp9")
    assert decoders.chosen([vp9], TOOLS, strict=False) == ()
    assert decoders.chosen([vp9], dataclasses.replace(TOOLS, decoders=frozenset()), strict=True) == ()


def test_a_tag_names_the_codec_that_ffmpeg_does_not_know_by_it():
    """AV1 with Dolby Vision in MP4."""
    unknown = Stream(0, "video", "", raw={"codec_tag_string": "dav1"})
    av1 = decoders.named(unknown, TOOLS)
    assert av1.codec == "av1"
    assert decoders.chosen([av1], TOOLS, strict=False) == ("-c:0", "libdav1d")
    assert decoders.named(unknown, dataclasses.replace(TOOLS, decoders=frozenset())) == unknown
    known = Stream(0, "video", "h264", raw={"codec_name": "h264", "codec_tag_string": "dav1"})
    assert decoders.named(known, TOOLS) == known


def test_libvpx_may_know_pictures_of_eight_bits_only():
    """Where it says nothing of a film of ten, FFmpeg's own decoder is asked."""
    ten, eight = (Stream(0, "video", "vp9", raw={"pix_fmt": name}) for name in ("yuv420p10le", "yuv420p"))
    assert decoders.are_doubtful([ten], TOOLS)
    assert not decoders.are_doubtful([eight], TOOLS)
