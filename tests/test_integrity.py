"""media/integrity: a verdict that is COMPLETE, INCOMPLETE with evidence, or ERROR when we could not find out."""

import asyncio
import os
import random
import re
import shutil
import subprocess

import clips
import pytest

from watcher.media import ffmpeg, integrity, packets, structure
from watcher.rules.statuses import IntegrityStatus, Mode, Reason
from watcher.rules.verdict import Verdict

COMPLETE, INCOMPLETE, ERROR = IntegrityStatus.COMPLETE, IntegrityStatus.INCOMPLETE, IntegrityStatus.ERROR
EACH = pytest.mark.parametrize("mode", list(Mode))


@pytest.fixture
def put(tmp_path):
    """Write bytes as a film, give its path."""

    def write(content, name="film.mkv"):
        (tmp_path / name).write_bytes(content)
        return os.fsencode(tmp_path / name)

    return write


async def verdict_of(ours, path, mode=Mode.QUICK, **options):
    return (await integrity.check(ours, path, mode, **options)).verdict


@EACH
@pytest.mark.parametrize("kind", sorted(clips.KINDS))
async def test_a_whole_film_is_complete(ours, kind, mode):
    """Every container, every mode, without a note, with what the film holds."""
    result = await integrity.check(ours, bytes(clips.path(kind)), mode)
    assert (result.verdict.status, result.verdict.notes, result.verdict.score) == (COMPLETE, (), 1.0), result.verdict
    assert result.verdict.mode is mode
    assert result.verdict.tool_version == ours.version
    assert result.verdict.cpu_sec > 0 < result.verdict.bytes_read
    assert {stream.kind for stream in result.probe.streams} >= {"video", "audio"}
    assert Verdict.from_dict(result.verdict.to_dict()) == result.verdict


@EACH
@pytest.mark.parametrize("kind", ["mp4", "faststart", "mkv", "webm", "avi", "flv", "wmv", "mpg"])
async def test_a_film_cut_at_60_percent_is_truncated(ours, put, kind, mode):
    """FFmpeg exits 0 on most of these."""
    content = clips.content(kind)
    verdict = await verdict_of(ours, put(content[: int(len(content) * 0.6)]), mode)
    assert verdict.status is INCOMPLETE, verdict
    assert verdict.reason in {Reason.TRUNCATED, Reason.DAMAGED}
    assert verdict.score < 0.9


async def test_how_much_is_there_is_said(ours, put):
    """Seconds, missing bytes and the position, in words for a person."""
    content = clips.content("mkv")
    verdict = await verdict_of(ours, put(content[: len(content) // 2]))
    assert verdict.missing_bytes == len(content) - len(content) // 2
    assert verdict.readable_sec == pytest.approx(1, abs=0.1)
    assert verdict.first_damage_byte == len(content) // 2
    assert verdict.first_damage_sec == pytest.approx(1, abs=0.1)
    assert re.fullmatch(r"cut: 1.0 of 2.0 seconds are there \([\d,]+ bytes missing at the end\)", verdict.sentence())
    assert verdict.left_out() == verdict.evidence


@EACH
async def test_a_reserved_file_is_not_complete(ours, tmp_path, mode):
    """Full size, right headers, first 60 % written: holes where the disk knows them, zeros where not."""
    content = clips.content("faststart")
    keep = int(len(content) * 0.6)
    sparse, dense = tmp_path / "sparse.mp4", tmp_path / "dense.mp4"
    sparse.write_bytes(content[:keep])
    os.truncate(sparse, len(content))
    dense.write_bytes(content[:keep] + bytes(len(content) - keep))
    assert (await verdict_of(ours, bytes(sparse), mode)).reason in {Reason.HOLE, Reason.ZEROS}
    assert (await verdict_of(ours, bytes(dense), mode)).reason is Reason.ZEROS


async def test_one_lost_page_is_proof_where_no_codec_makes_zeros(ours, put, tmp_path):
    """4 KiB of zeros in compressed picture and sound; where it could be lawful, it makes us decode everything."""
    content = bytearray(clips.content("faststart"))
    at = (len(content) // 2) & ~4095
    content[at : at + 4096] = bytes(4096)
    verdict = await verdict_of(ours, put(bytes(content)))
    assert (verdict.status, verdict.reason, verdict.mode) == (INCOMPLETE, Reason.ZEROS, Mode.QUICK)
    clips.ffmpeg("-i", str(clips.path("mkv")), "-c", "copy", str(tmp_path / "unread.nut"))
    content = bytearray((tmp_path / "unread.nut").read_bytes())
    at = (len(content) // 2) & ~4095
    content[at : at + 4096] = bytes(4096)
    assert (await verdict_of(ours, put(bytes(content), "film.nut"))).mode is Mode.FULL


async def test_the_padding_of_a_tag_is_no_missing_film(ours, put, tmp_path):
    """An MP3 leaves room in its tag, in zeros, so that a title can grow."""
    clips.ffmpeg(
        "-i", str(clips.path("avi")), "-vn", "-c:a", "copy", "-id3v2_version", "0", str(tmp_path / "plain.mp3")
    )
    tag = b"ID3\x04\x00\x00" + bytes((0, 0, 12000 >> 7, 12000 & 127)) + bytes(12000)
    verdict = await verdict_of(ours, put(tag + (tmp_path / "plain.mp3").read_bytes(), "film.mp3"))
    assert verdict.status is COMPLETE, verdict


async def test_damage_in_the_middle_is_damage(ours, put):
    """The headers are right, the content is not: the decoder's lines are the evidence."""
    content = bytearray(clips.content("mkv"))
    at = len(content) // 3
    content[at : at + 20000] = random.Random(3).randbytes(20000)
    verdict = await verdict_of(ours, put(bytes(content)), Mode.FULL)
    assert (verdict.status, verdict.reason) == (INCOMPLETE, Reason.DAMAGED)
    assert verdict.evidence


@pytest.fixture
def unsummed(tmp_path):
    """A film in Matroska whose clusters have no checksums, as mkvmerge writes them."""
    film = tmp_path / "unsummed.mkv"
    clips.ffmpeg("-i", str(clips.path("mkv")), "-c", "copy", "-write_crc32", "0", str(film))
    return film


@pytest.fixture
def changed(put, unsummed):
    """Change an AC-3 frame of that film: one at its beginning, the last, or one of the middle."""

    def change(which):
        content = bytearray(unsummed.read_bytes())
        listing = clips.probe("-select_streams", "a", "-show_entries", "packet=pos", "-of", "csv=p=0", str(unsummed))
        frames = sorted(map(int, listing.replace(b",", b"").split()))
        at = {"early": frames[1], "last": frames[-1], "middle": frames[len(frames) // 2]}[which]
        content[at + 30 : at + 34] = bytes(255 - byte for byte in content[at + 30 : at + 34])
        return put(bytes(content))

    return change


@pytest.mark.parametrize("which", ["early", "last"])
async def test_one_complaint_about_a_proved_film_is_a_note_or_a_verdict_as_asked(ours, changed, which):
    """Tolerance needs the structure's proof; tolerate_lines=0 has none."""
    path = changed(which)
    lenient, strict = await verdict_of(ours, path, Mode.FULL), await verdict_of(ours, path, Mode.FULL, tolerate_lines=0)
    assert (lenient.status, strict.status) == (COMPLETE, INCOMPLETE), (lenient, strict)
    assert lenient.notes
    assert lenient.score < 1


async def test_only_a_first_or_last_frame_of_sound_may_have_a_wrong_checksum(ours, changed):
    """Whoever cuts a film cuts these; in the middle the same words are damage."""
    verdict = await verdict_of(ours, changed("middle"), Mode.FULL)
    assert (verdict.status, verdict.reason) == (INCOMPLETE, Reason.DAMAGED)


@EACH
async def test_a_complaint_about_a_film_that_ends_in_zeros_is_none_to_forgive(ours, put, tmp_path, mode):
    """The last frame of AC-3 ends with its checksum; less than a page was lost, and yet the film was not finished."""
    film = tmp_path / "sound.mp4"
    clips.ffmpeg("-i", str(clips.path("mkv")), "-map", "0:a", "-c", "copy", str(film))
    content = bytearray(film.read_bytes())
    ((_, end),) = structure.walk(os.fsencode(film)).payload
    content[end - 300 : end] = bytes(300)
    verdict = await verdict_of(ours, put(bytes(content)), mode)
    assert (verdict.status, verdict.reason) == (INCOMPLETE, Reason.DAMAGED)


@pytest.mark.parametrize("junk", [bytes(70_000), random.Random(2).randbytes(3000)], ids=["zeros", "garbage"])
@pytest.mark.parametrize(("kind", "name"), [("ogv", "a,,:b%d.ogv"), ("flac", "film.flac")])
async def test_something_behind_a_proved_film_is_a_note(ours, put, kind, name, junk):
    """FFmpeg would decode it, and complain; so it is told where the film ends, whatever the film's name."""
    verdict = await verdict_of(ours, put(clips.content(kind) + junk, name), Mode.FULL)
    assert verdict.status is COMPLETE, verdict
    assert verdict.notes == (f"{len(junk):,} bytes of something else at the end",)


@EACH
async def test_one_changed_bit_is_damage_where_the_container_keeps_checksums(ours, put, mode):
    """FFmpeg writes a CRC-32 into every cluster of Matroska: no decoder need hear the bit."""
    content = bytearray(clips.content("mkv"))
    content[len(content) // 2] ^= 1
    verdict = await verdict_of(ours, put(bytes(content)), mode)
    assert (verdict.status, verdict.reason) == (INCOMPLETE, Reason.DAMAGED)
    assert "checksum" in verdict.evidence[0]
    assert 0 < verdict.first_damage_byte <= len(content) // 2


async def test_a_page_of_zeros_in_a_picture_is_told_from_silence(ours, tmp_path):
    """PCM is full of zeros by right, and H.264 beside it is not: where the page lies decides."""
    film = tmp_path / "film.mov"
    clips.ffmpeg(
        *("-i", str(clips.path("mp4", 4)), "-f", "lavfi", "-i", "anullsrc=r=48000:cl=stereo", "-shortest"),
        *("-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "pcm_s16le", str(film)),
    )
    assert (await verdict_of(ours, bytes(film))).status is COMPLETE
    listed = packets.command(ours, bytes(film))
    places = [
        line.split(",") for line in subprocess.run(listed, capture_output=True, check=True, text=True).stdout.split()
    ]
    at = max((int(size), int(place)) for stream, size, place in places if stream == "0")[1]
    content = bytearray(film.read_bytes())
    page = (at + 4096) & ~4095
    content[page : page + 4096] = bytes(4096)
    film.write_bytes(content)
    verdict = await verdict_of(ours, bytes(film))
    assert (verdict.status, verdict.reason) == (INCOMPLETE, Reason.ZEROS)
    assert "within stream 0 (h264)" in verdict.evidence[0]
    assert verdict.first_damage_byte == page
    assert verdict.first_damage_sec == pytest.approx(verdict.declared_sec * page / len(content))
    assert verdict.missing_bytes >= 4096


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"no film, but words\n" * 99, Reason.NOT_MEDIA),
        (b"PK\x03\x04" + bytes(range(256)) * 9, Reason.NOT_MEDIA),
        (b"#EXTM3U\n#EXTINF:10,\nfile:///etc/hostname\n", Reason.NOT_MEDIA),
        (bytes(1 << 20), Reason.ZEROS),
        (random.Random(4).randbytes(5000), Reason.NOT_MEDIA),
        (b"\x80" + bytes(200_000), Reason.ZEROS),
    ],
)
async def test_what_is_no_film_is_said_to_be_what_it_is(ours, put, content, reason):
    """Content decides, and never FFmpeg's exit code alone."""
    verdict = await verdict_of(ours, put(content))
    assert (verdict.status, verdict.reason) == (INCOMPLETE, reason)


async def test_a_film_of_subtitles_only_has_no_streams(ours, tmp_path):
    """Neither picture nor sound."""
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    clips.ffmpeg("-i", str(tmp_path / "a.srt"), str(tmp_path / "a.mkv"))
    assert (await verdict_of(ours, os.fsencode(tmp_path / "a.mkv"))).reason is Reason.NO_STREAMS


async def test_a_stream_without_a_decoder_is_a_note(ours):
    """It is read, and said to be no more than read."""
    poor = ffmpeg.Tools(ours.ffmpeg, ours.ffprobe, ours.version, ours.codecs - {"ac3"})
    verdict = await verdict_of(poor, bytes(clips.path("mkv")))
    assert verdict.status is COMPLETE
    assert "no decoder" in verdict.notes[0]


@EACH
async def test_flac_has_no_zeros_as_long_as_a_lost_piece(ours, put, tmp_path, mode):
    """Its silence is a few bytes a second; the H.264 beside it, too, needs no decoder to tell."""
    film = tmp_path / "film.mkv"
    clips.ffmpeg(
        *("-i", str(clips.path("mp4", 4)), "-f", "lavfi", "-i", "anoisesrc=r=48000:d=4", "-map", "0:v", "-map", "1:a"),
        *("-c:v", "copy", "-c:a", "flac", "-write_crc32", "0", str(film)),
    )
    content = bytearray(film.read_bytes())
    at = (len(content) // 2) & ~4095
    content[at : at + (132 << 10)] = bytes(132 << 10)
    assert (await verdict_of(ours, put(bytes(content), "lost.mkv"), mode)).reason is Reason.ZEROS


async def test_silence_in_pcm_is_no_missing_film(ours, tmp_path):
    """A minute of digital silence is zeros by right, and so is its hole after a sparse copy."""
    film = tmp_path / "silence.mkv"
    clips.ffmpeg(
        "-f", "lavfi", "-i", "anullsrc=sample_rate=8000:channel_layout=mono", "-t", "30", "-c:a", "pcm_s16le", str(film)
    )
    assert (await verdict_of(ours, bytes(film))).status is COMPLETE


async def test_a_missing_tool_says_nothing_about_the_film(ours):
    """ERROR, with the tool's name."""
    gone = ffmpeg.Tools("/no/ffmpeg", "/no/ffprobe", "5", ours.codecs)
    verdict = await verdict_of(gone, bytes(clips.path("mkv")))
    assert (verdict.status, verdict.reason) == (ERROR, Reason.TOOL_MISSING)


async def test_a_time_limit_says_nothing_about_the_film(ours, tmp_path):
    """ERROR: the film may be whole."""
    slow = tmp_path / "ffmpeg"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    stuck = ffmpeg.Tools(str(slow), ours.ffprobe, "5", ours.codecs)
    verdict = await verdict_of(stuck, bytes(clips.path("mkv")), limit_sec=1)
    assert (verdict.status, verdict.reason) == (ERROR, Reason.TIMEOUT)


async def test_a_killed_tool_says_nothing_about_the_film(ours, tmp_path):
    """The kernel's out-of-memory killer is no evidence of damage."""
    killed = tmp_path / "ffmpeg"
    killed.write_text("#!/bin/sh\nkill -KILL $$\n")
    killed.chmod(0o755)
    verdict = await verdict_of(ffmpeg.Tools(str(killed), ours.ffprobe, "5", ours.codecs), bytes(clips.path("mkv")))
    assert (verdict.status, verdict.reason) == (ERROR, Reason.KILLED)


async def test_a_vanished_file_is_an_error_and_a_folder_no_film(ours, tmp_path):
    """Gone before we looked: nothing is known about it."""
    assert (await verdict_of(ours, os.fsencode(tmp_path / "none.mkv"))).reason is Reason.IO_ERROR
    assert (await verdict_of(ours, os.fsencode(tmp_path))).reason is Reason.NOT_MEDIA


async def test_a_file_that_changes_meanwhile_has_no_verdict(ours, put, tmp_path):
    """Whatever was found, it was found about something else: here it is touched when ffprobe starts."""
    path = put(clips.content("mkv"))
    touching = tmp_path / "ffprobe"
    touching.write_text(f'#!/bin/sh\ntouch -d 2001-01-01 "{os.fsdecode(path)}"\nexec {shutil.which("ffprobe")} "$@"\n')
    touching.chmod(0o755)
    result = await integrity.check(ffmpeg.Tools(ours.ffmpeg, str(touching), "5", ours.codecs), path, Mode.QUICK)
    assert (result.verdict.status, result.verdict.reason) == (ERROR, Reason.CHANGED_WHILE_CHECKING)
    assert result.probe is None


async def test_a_short_film_costs_one_ffprobe_and_one_ffmpeg(ours, tmp_path):
    """The price of a check is the price of starting processes."""
    log = tmp_path / "calls"
    counted = []
    for name in ("ffmpeg", "ffprobe"):
        script = tmp_path / name
        script.write_text(f'#!/bin/sh\necho {name} >> "{log}"\nexec {shutil.which(name)} "$@"\n')
        script.chmod(0o755)
        counted.append(str(script))
    await verdict_of(ffmpeg.Tools(*counted, "5", ours.codecs), bytes(clips.path("mkv")))
    assert log.read_text().split() == ["ffprobe", "ffmpeg"]


async def test_a_long_film_is_sampled_in_quick_mode(ours, tmp_path):
    """Over 40 s: six short looks, and no look at the rest."""
    film = tmp_path / "long.mkv"
    clips.ffmpeg(*("-stream_loop", "29", "-i", str(clips.path("mkv")), "-c", "copy", str(film)))
    quick = await verdict_of(ours, bytes(film))
    assert (quick.status, quick.mode) == (COMPLETE, Mode.QUICK)


async def test_audio_mode_hears_all_sound_of_a_long_film_and_does_not_decode_its_pictures(ours, tmp_path):
    """What lies between two samples of a quick check is heard; a verdict of damage is a full check's."""
    film = tmp_path / "long.mkv"
    clips.ffmpeg(*("-stream_loop", "29", "-i", str(clips.path("mkv")), "-c", "copy", "-write_crc32", "0", str(film)))
    log = tmp_path / "calls"
    script = tmp_path / "ffmpeg"
    script.write_text(f'#!/bin/sh\necho "$*" >> "{log}"\nexec {shutil.which("ffmpeg")} "$@"\n')
    script.chmod(0o755)
    logged = ffmpeg.Tools(str(script), ours.ffprobe, "5", ours.codecs)
    verdict = await verdict_of(logged, bytes(film), Mode.AUDIO)
    assert (verdict.status, verdict.mode) == (COMPLETE, Mode.AUDIO)
    calls = log.read_text().splitlines()
    assert len(calls) == 1
    assert "nokey" in calls[0]
    content = bytearray(film.read_bytes())
    for frame in re.finditer(b"\x0b\x77", bytes(content[len(content) // 4 : len(content) // 3])):
        at = len(content) // 4 + frame.start()
        content[at + 30 : at + 34] = bytes(255 - byte for byte in content[at + 30 : at + 34])
    film.write_bytes(content)
    verdict = await verdict_of(ours, bytes(film), Mode.AUDIO)
    assert (verdict.status, verdict.reason, verdict.mode) == (INCOMPLETE, Reason.DAMAGED, Mode.FULL)


async def test_progress_goes_to_one(ours):
    """The share of the decoding done, for whoever waits."""
    shares = []
    await verdict_of(ours, bytes(clips.path("mkv")), Mode.FULL, on_progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1, abs=0.05)


async def test_cancelling_a_check_ends_it(ours):
    """Nothing is left running."""
    task = asyncio.create_task(integrity.check(ours, bytes(clips.path("mkv")), Mode.FULL))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_the_time_limit_grows_with_size_and_length():
    """80 GB of two hours may take a day and a half on the slowest NAS; a small clip ten minutes."""
    assert integrity.time_limit_sec(1000, 2) == pytest.approx(612, abs=1)
    assert 86_400 < integrity.time_limit_sec(80 * 10**9, 7200) < 2 * 86_400
    assert integrity.time_limit_sec(80 * 10**9, None) > 86_400
