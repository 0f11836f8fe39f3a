"""Films whose streams end at different times, or never come: FFmpeg's position is not the film's, and nothing is missing."""

import dataclasses
import os
import shutil

import clips
import pytest

from watcher.media import integrity, packets
from watcher.rules.statuses import IntegrityStatus, Mode, Reason

PACKET = 188


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """A broadcast of five seconds; a second sound is sent during its first one only."""
    film = tmp_path_factory.mktemp("uneven") / "film.ts"
    picture, sound = ("-f", "lavfi", "-i", "testsrc=s=96x64:r=10"), ("-f", "lavfi", "-i", "anoisesrc=r=48000:a=0.3")
    codecs = ("-c:v", "mpeg2video", "-g", "10", "-c:a", "mp2")
    maps = ("-map", "0", "-map", "1", "-map", "1", "-filter:a:1", "atrim=end=1")
    clips.ffmpeg(*picture, *sound, *maps, "-t", "5", *codecs, str(film))
    return film


@pytest.fixture
def newer(ours, tmp_path):
    """An FFmpeg that says how far the stream has come which ended first, as all do from release 7 on."""
    script = tmp_path / "ffmpeg"
    told = "s/^out_time_us=.*/out_time_us=1000000/"
    script.write_text(f"#!/bin/sh\n{shutil.which('ffmpeg')} \"$@\" | sed '{told}'\n")
    script.chmod(0o755)
    return dataclasses.replace(ours, ffmpeg=str(script))


async def verdict_of(tools, path, mode=Mode.FULL):
    return (await integrity.check(tools, os.fsencode(path), mode)).verdict


@pytest.mark.parametrize("mode", list(Mode))
async def test_a_sound_that_ends_before_the_film_is_no_end_of_the_film(newer, uneven, mode):
    """The container declares no end, and FFmpeg's position stops early: the packets behind it tell."""
    verdict = await verdict_of(newer, uneven, mode)
    assert (verdict.status, verdict.notes) == (IntegrityStatus.COMPLETE, ()), verdict


async def test_where_nothing_stands_behind_it_a_position_is_the_end(newer, tmp_path):
    """A FLAC without a sum of its sound, cut: its header speaks of ten seconds."""
    film = tmp_path / "film.flac"
    content = clips.path("flac", seconds=10).read_bytes()
    film.write_bytes(content[: len(content) // 5])
    verdict = await verdict_of(newer, film)
    assert (verdict.status, verdict.reason) == (IntegrityStatus.INCOMPLETE, Reason.TRUNCATED), verdict


@pytest.mark.parametrize("mode", list(Mode))
async def test_a_sound_that_is_announced_and_never_sent_is_noted(ours, uneven, tmp_path, mode):
    """FFmpeg fails for want of its form, though nothing of the film is missing."""
    content, film = uneven.read_bytes(), tmp_path / "film.ts"
    sent = [content[at : at + PACKET] for at in range(0, len(content), PACKET)]
    film.write_bytes(b"".join(packet for packet in sent if int.from_bytes(packet[1:3], "big") & 0x1FFF != 0x102))
    verdict = await verdict_of(ours, film, mode)
    assert verdict.status is IntegrityStatus.COMPLETE, verdict
    assert verdict.notes == ("stream 2 (mp3) is announced, and nothing of it comes",)


def test_times_are_those_of_packets_that_are_shown_or_decoded_from_then_on():
    """A list begins at the key frame before; some formats know one time of the two, or none."""
    assert packets.stand_behind(b"1.0,N/A\nN/A,2.5\n", 2.5)
    assert not packets.stand_behind(b"1.0,1.0\nN/A,2.4\nN/A,N/A\n\n", 2.5)
