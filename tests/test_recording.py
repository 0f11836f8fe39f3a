"""media/recording: a broadcast is recorded from anywhere to anywhere, and is whole; damage between is damage."""

import functools
import os
import random

import clips
import pytest

from watcher.media import integrity, recording, tools
from watcher.media.decode import Window
from watcher.media.ffmpeg import Finished
from watcher.rules.statuses import IntegrityStatus, Mode, Reason

_KINDS = {
    "h264": ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-bf", "2", "-pix_fmt", "yuv420p", "-c:a", "ac3"),
    "mpeg2": ("-c:v", "mpeg2video", "-bf", "2", "-g", "12", "-c:a", "mp2"),
}
_PACKET = 188


@functools.cache
def recorded(kind):
    """Give a transport stream cut out of a longer one: it begins within a group of pictures, and ends within a picture."""
    path = clips.path("ts").with_name(f"{kind}.ts")
    sources = ("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25", "-f", "lavfi", "-i", "anoisesrc=r=48000")
    clips.ffmpeg(*sources, "-t", "40", *_KINDS[kind], str(path))
    content = path.read_bytes()
    count = len(content) // _PACKET
    return content[count * 21 // 100 * _PACKET : count * 79 // 100 * _PACKET]


async def verdict_of(folder, content, mode=Mode.FULL):
    (folder / "film.ts").write_bytes(content)
    return (await integrity.check(await tools.find_tools(), os.fsencode(folder / "film.ts"), mode)).verdict


@pytest.mark.parametrize("kind", sorted(_KINDS))
async def test_a_recording_is_whole_with_a_note(tmp_path, kind):
    """Decoders complain of its first and last pictures, and of nothing else."""
    verdict = await verdict_of(tmp_path, recorded(kind))
    assert verdict.status is IntegrityStatus.COMPLETE, verdict
    assert verdict.notes in {(recording.NOTE,), ()}


@pytest.mark.parametrize("kind", sorted(_KINDS))
async def test_damage_in_the_middle_of_a_recording_is_damage(tmp_path, kind):
    """The payload of many packets is changed, and their heads are left: what decoders say of it is not said of the edges."""
    content = bytearray(recorded(kind))
    middle = len(content) // _PACKET // 2
    for number in range(middle, middle + 120):
        content[number * _PACKET + 20 : number * _PACKET + 180] = random.Random(number).randbytes(160)
    verdict = await verdict_of(tmp_path, bytes(content))
    assert (verdict.status, verdict.reason) == (IntegrityStatus.INCOMPLETE, Reason.DAMAGED)


def test_samples_of_the_edges_do_not_ask_for_more():
    """What the first sample says until a group of pictures begins, and a little at the very end."""
    start, odd = "[h264 @ 0x1] [error] non-existing PPS 0 referenced", "[h264 @ 0x1] [error] cabac decode failed"
    assert recording.excuses((start,) * 90, Window(0, 2), 100)
    assert not recording.excuses((start, odd), Window(0, 2), 100)
    assert recording.excuses((odd,) * 6, Window(96, None), 100)
    assert not recording.excuses((odd,) * 7, Window(96, 4), 100)
    assert not recording.excuses((odd,), Window(50, 2), 100)


async def test_what_was_missing_at_the_start_may_be_spoken_of_once_more():
    """HEVC's decoder keeps what it made up for missing references, and finds the number taken when it comes round."""
    missing = "[hevc @ 0x1] [error] Could not find ref with POC 126"
    taken = "[hevc @ 0x1] [error] Duplicate POC in a sequence: 127."

    async def only_edges(*lines, at_start=(missing,)):
        async def sample(window):
            heard = at_start if window.length_sec < 10 else lines
            return Finished(0, b"", heard, len(heard), 0.1, "exit")

        return await recording.complains_of_edges_only(Finished(0, b"", lines, len(lines), 0.1, "exit"), 60.0, sample)

    assert await only_edges(missing, taken)
    assert not await only_edges(missing, taken, taken)
    assert not await only_edges(taken, at_start=())


async def test_a_recording_with_a_lost_page_and_a_short_one_are_not_excused(tmp_path):
    """Zeros speak of lost bytes; and of a few seconds a sample of the end hears everything."""
    content = bytearray(recorded("mpeg2"))
    at = len(content) * 95 // 100 & ~4095
    content[at : at + 4096] = bytes(4096)
    assert (await verdict_of(tmp_path, bytes(content))).status is IntegrityStatus.INCOMPLETE
    short = recorded("mpeg2")[: 188 * 900]
    assert recording.NOTE not in (await verdict_of(tmp_path, short)).notes
