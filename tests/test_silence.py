"""media/silence: zeros in PCM that are no silence, and silence."""

import os
import random

import clips
import pytest

from watcher.media import integrity, packets, silence
from watcher.rules.statuses import IntegrityStatus, Mode, Reason

PAGE = 4096
NOISE = random.Random(5).randbytes(16 * PAGE)


@pytest.fixture
def film(tmp_path):
    """Noise in PCM beside a picture, as cameras write it."""
    made = tmp_path / "film.mov"
    clips.ffmpeg("-i", str(clips.path("mp4")), "-c:v", "copy", "-c:a", "pcm_s32le", "-ac", "2", str(made))
    return made


async def verdict_of(ours, path, mode=Mode.QUICK):
    return (await integrity.check(ours, os.fsencode(path), mode)).verdict


def within_sound(path):
    """Give the first page that lies within a piece of sound, with a page to each side."""
    listing = clips.probe("-show_entries", "packet=stream_index,pos,size", "-of", "csv=p=0", str(path))
    sound = sorted((at, at + size) for stream, at, size in packets.places(listing) if stream == 1)
    joined = [sound[0]]
    for start, end in sound[1:]:
        joined[-1:] = [(joined[-1][0], end)] if joined[-1][1] == start else [joined[-1], (start, end)]
    return next(-(-start // PAGE) * PAGE + PAGE for start, end in joined if end - start > 4 * PAGE)


@pytest.mark.parametrize("mode", list(Mode))
async def test_a_page_lost_out_of_a_sound_is_no_silence(ours, film, mode):
    """Pages are lost as wholes; the noise before and behind goes on."""
    content, at = bytearray(film.read_bytes()), within_sound(film)
    content[at : at + PAGE] = bytes(PAGE)
    film.write_bytes(content)
    verdict = await verdict_of(ours, film, mode)
    assert (verdict.status, verdict.reason) == (IntegrityStatus.INCOMPLETE, Reason.ZEROS), verdict
    assert verdict.first_damage_byte == at


async def test_a_sound_that_stops_and_goes_on_is_whole(ours, film):
    """Digital silence, however abrupt, does not begin and end where pages do."""
    content, at = bytearray(film.read_bytes()), within_sound(film)
    content[at + 4 : at + PAGE + 400] = bytes(PAGE + 396)
    film.write_bytes(content)
    verdict = await verdict_of(ours, film, Mode.FULL)
    assert (verdict.status, verdict.notes) == (IntegrityStatus.COMPLETE, ()), verdict


def suspects(tmp_path, content, *runs):
    path = tmp_path / "payload"
    path.write_bytes(content)
    return silence.suspects(os.fsencode(path), runs, len(content))


def test_only_pages_cut_out_of_a_sound_are_suspect(tmp_path):
    """Both borders in a sound, and up to the end only many pages after a loud one."""
    lost = NOISE[:PAGE] + bytes(PAGE) + NOISE[:PAGE]
    assert suspects(tmp_path, lost, (PAGE, 2 * PAGE))
    faded = NOISE[: PAGE - 100] + bytes(PAGE + 100) + NOISE[:PAGE]
    assert not suspects(tmp_path, faded, (PAGE, 2 * PAGE))
    assert suspects(tmp_path, NOISE[:PAGE] + bytes(4 * PAGE), (PAGE, 5 * PAGE))
    assert not suspects(tmp_path, NOISE[:PAGE] + bytes(3 * PAGE), (PAGE, 4 * PAGE))
    soft = bytes(byte if number % 2 else 0 for number, byte in enumerate(NOISE[:PAGE]))
    assert not suspects(tmp_path, soft + bytes(4 * PAGE), (PAGE, 5 * PAGE))
    assert not suspects(tmp_path, bytes(2 * PAGE), (0, 2 * PAGE))


def test_a_silent_piece_between_pieces_of_other_streams_is_lawful():
    """Cameras begin every piece on a page; a track nobody used is all zeros."""
    listing = b"0,4096,0\n1,4096,4096\n0,4096,8192\n"
    assert silence.first_hit(listing, [(4096, 8192)], {1: "pcm_s16le"}, 12288) is None
    sound = b"1,4096,0\n1,4096,4096\n1,4096,8192\n"
    assert silence.first_hit(sound, [(4096, 8192)], {1: "pcm_s16le"}, 12288) == (1, 4096)
    assert silence.first_hit(b"1,4096,0\n1,4096,4096\n", [(4096, 8192)], {1: "pcm_s16le"}, 8192) == (1, 4096)


@pytest.fixture(scope="module")
def fading(tmp_path_factory):
    """A picture of a second, with sound that fades away after two and goes on silently for ten."""
    film = tmp_path_factory.mktemp("fading") / "film.mov"
    sound = (
        "sine=frequency=500:duration=2:sample_rate=48000,volume=4,afade=out:start_time=1:duration=1,apad=whole_dur=12"
    )
    clips.ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=s=96x64:d=1", "-f", "lavfi", "-i", sound, "-c:a", "pcm_s16le"), str(film)
    )
    return film


@pytest.mark.parametrize("mode", list(Mode))
async def test_long_silence_after_a_sound_that_faded_is_no_lost_part(ours, fading, tmp_path, mode):
    """Elsewhere a megabyte of zeros is proof; from the middle of the sound on it is here, too."""
    content, film = bytearray(fading.read_bytes()), tmp_path / "film.mov"
    film.write_bytes(content)
    verdict = await verdict_of(ours, film, mode)
    assert (verdict.status, verdict.notes) == (IntegrityStatus.COMPLETE, ()), verdict
    at = within_sound(film)
    content[at : at + (1 << 20)] = bytes(1 << 20)
    film.write_bytes(content)
    verdict = await verdict_of(ours, film, mode)
    assert (verdict.status, verdict.reason) == (IntegrityStatus.INCOMPLETE, Reason.ZEROS), verdict


def test_a_long_run_is_silence_within_a_sound_that_had_faded_or_not_begun(tmp_path):
    """Not where it breaks off, goes on at a page's border, or reaches beyond the sound."""

    def is_one(content, run, at=0, size=None):
        (tmp_path / "payload").write_bytes(content)
        listing = f"1,{size or len(content)},{at}\n".encode()
        return silence.is_one(os.fsencode(tmp_path / "payload"), run, listing, {1: "pcm_s16le"})

    quiet = bytes((0, 255)[number // 2 % 2] if number % 2 else NOISE[number] for number in range(PAGE - 10)) + bytes(10)
    assert is_one(quiet + bytes(2 * PAGE), (PAGE, 3 * PAGE))
    assert is_one(quiet + bytes(2 * PAGE + 8) + NOISE[:PAGE], (PAGE, 3 * PAGE))
    assert not is_one(quiet + bytes(2 * PAGE) + NOISE[:PAGE], (PAGE, 3 * PAGE))
    assert not is_one(NOISE[: PAGE - 2] + bytes(2 * PAGE + 2), (PAGE, 3 * PAGE))
    assert is_one(NOISE[:PAGE] + bytes(2 * PAGE), (PAGE, 3 * PAGE), at=PAGE, size=2 * PAGE)
    assert not is_one(quiet + bytes(2 * PAGE), (PAGE, 3 * PAGE), size=2 * PAGE)
