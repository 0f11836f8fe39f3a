"""media/containers flac and audio: sound by itself, whose frames tell where it ends."""

import os
import random
import re

import clips
import pytest
from test_structure import walk

from watcher.media import integrity, structure
from watcher.rules.statuses import IntegrityStatus, Mode

COUNTED = ("flac", "mp3", "wav")


@pytest.mark.parametrize("kind", COUNTED)
def test_sound_that_is_counted_is_whole(kind):
    """STREAMINFO, Xing and RIFF say how much there is."""
    found = walk(clips.content(kind))
    assert (found.status, found.container, found.notes) == ("whole", kind, ())
    if kind != "wav":
        assert found.declared_sec == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("kind", COUNTED)
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, 0.99, 0.999])
def test_a_cut_of_counted_sound_is_seen_wherever_it_is(kind, share):
    """Also within its last frame."""
    content = clips.content(kind)
    assert walk(content[: int(len(content) * share)]).status == "cut"


@pytest.mark.parametrize(("kind", "container"), [("adts", "aac"), ("ac3", "ac3")])
def test_frames_without_a_count_tell_a_cut_within_the_last_of_them(kind, container):
    """Whole, they prove nothing: the next frame may be missing."""
    content = clips.content(kind)
    found = walk(content)
    assert (found.status, found.container) == ("unknown", container)
    found = walk(content[:-5])
    assert (found.status, found.missing_bytes, found.offset) == ("cut", 5, len(content) - 5)


def test_an_mp3_without_a_count_proves_nothing(tmp_path):
    """A radio's recording ends anywhere."""
    plain = tmp_path / "plain.mp3"
    clips.ffmpeg("-i", str(clips.path("mp3")), "-c", "copy", "-write_xing", "0", str(plain))
    assert walk(plain.read_bytes()).status == "unknown"
    assert walk(plain.read_bytes()[:-5]).status == "unknown"


@pytest.mark.parametrize("kind", ["flac", "mp3", "adts", "ac3"])
def test_an_end_of_zeros_was_never_filled(kind):
    """No frame of these ends in half a kilobyte of zeros."""
    content = clips.content(kind)
    found = walk(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))
    assert (found.status, found.zeros) == ("cut", True)
    assert found.offset == pytest.approx(len(content) // 2, abs=8)


TITLE = b"TAG" + b"A title".ljust(125, b"\0")


@pytest.mark.parametrize("kind", ["flac", "mp3", "adts", "ac3"])
def test_tags_before_and_behind_the_sound_are_not_the_sound(kind):
    """ID3v2 with the padding that taggers leave, ID3v1 and APEv2; the sound between them is judged as ever."""
    content = clips.content(kind)
    before = b"ID3\x04\0\0" + bytes((0, 0, 2000 >> 7, 2000 & 127)) + bytes(2000)
    footer = b"APETAGEX" + bytes((0xD0, 7, 0, 0)) + (332).to_bytes(4, "little") + bytes(16)
    behind = b"x" * 300 + footer + TITLE
    bare, tagged = walk(content), walk(before + content + behind)
    assert (tagged.status, tagged.container, tagged.reasons) == (bare.status, bare.container, bare.reasons)
    start, end = bare.payload[0]
    assert tagged.payload == ((start + len(before), end + len(before)),) or kind == "mp3"
    assert walk(before + content[:-40] + behind).status == "cut"


@pytest.mark.parametrize("kind", ["flac", "mp3"])
@pytest.mark.parametrize("junk", [bytes(7000), random.Random(2).randbytes(7000)], ids=["zeros", "garbage"])
def test_junk_behind_counted_sound_is_a_note_and_no_payload(kind, junk):
    """All that was counted is there."""
    content = clips.content(kind)
    found = walk(content + junk)
    assert (found.status, found.notes) == ("whole", ("7,000 bytes of something else at the end",))
    assert found.payload == walk(content).payload


@pytest.mark.parametrize("kind", [*COUNTED, "adts", "ac3"])
def test_an_hour_of_sound_costs_what_a_minute_costs(kind, tmp_path):
    """Bytes read are bounded by head and tail: 3 MB, however long the file is."""
    long = tmp_path / "long"
    content = clips.content(kind)
    with long.open("wb") as file:
        file.write(content[:20_000])
        file.truncate(2 << 30)
        file.seek(2 << 30)
        file.write(content[20_000:])
    assert structure.walk(os.fsencode(long)).bytes_read < 3 << 20


async def test_flac_without_one_of_its_frames_is_not_what_its_header_says(ours, tmp_path):
    """Every frame that is left holds, and the last one is the last: only the MD5 of all samples tells."""
    film = tmp_path / "sound.flac"
    content = clips.content("flac")
    listing = clips.probe("-show_entries", "packet=pos", "-of", "csv=p=0", str(clips.path("flac")))
    frames = sorted(map(int, listing.replace(b",", b"").split()))
    lacking = content[: frames[5]] + content[frames[6] :]
    md5 = content.index(b"fLaC") + 8 + 18
    unknown = lacking[:md5] + bytes(16) + lacking[md5 + 16 :]
    verdicts = []
    for kept in (content, unknown, lacking):
        film.write_bytes(kept)
        verdicts.append((await integrity.check(ours, os.fsencode(film), Mode.FULL)).verdict)
    assert [verdict.status.name for verdict in verdicts] == ["COMPLETE", "COMPLETE", "INCOMPLETE"]
    assert "MD5" in verdicts[2].evidence[0]


@pytest.mark.parametrize(
    ("place", "status"), [("middle", IntegrityStatus.INCOMPLETE), ("end", IntegrityStatus.COMPLETE)]
)
async def test_a_frame_of_sound_without_its_head_is_forgiven_at_the_end_only(ours, tmp_path, place, status):
    """Whoever cuts films leaves half a frame; one in the middle has been changed."""
    film = tmp_path / "film.avi"
    content = bytearray(clips.content("avi"))
    sounds = [found.end() + 4 for found in re.finditer(b"01wb", content[: content.rindex(b"idx1")])]
    at = sounds[len(sounds) // 2 if place == "middle" else -1]
    content[at : at + 4] = bytes(4)
    film.write_bytes(content)
    verdict = (await integrity.check(ours, os.fsencode(film), Mode.FULL)).verdict
    assert verdict.status is status, verdict
    assert "Header missing" in " ".join((*verdict.evidence, *verdict.notes))
