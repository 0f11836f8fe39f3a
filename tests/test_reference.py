"""media/reference: checksums beside a film, in every spelling there is, and what a full check makes of them."""

import hashlib
import os
import re
import zlib

import clips
import pytest
from helpers import make_files

from watcher.media import integrity, reference, tools
from watcher.rules.statuses import IntegrityStatus, Mode, Reason

FILM = b"the content of a film"
CRC, MD5, SHA = f"{zlib.crc32(FILM):08X}", hashlib.md5(FILM).hexdigest(), hashlib.sha256(FILM).hexdigest()
OTHER = "00" * 32


def found_in(folder, files, film="Film (2020).mkv"):
    make_files(folder, {film: FILM, **{name: text.encode() for name, text in files.items()}})
    return reference.find(os.fsencode(folder / film))


@pytest.mark.parametrize(
    ("name", "text", "digest"),
    [
        ("release.sfv", f"; made by somebody\r\nFilm (2020).mkv {CRC}\r\nfilm.nfo 01234567\r\n", CRC.lower()),
        ("release.SFV", f"FILM (2020).MKV\t{CRC.lower()}\n", CRC.lower()),
        ("sums.md5", f"\ufeff{MD5.upper()} *Film (2020).mkv\n", MD5),
        ("sums.md5", f"{OTHER[:32]}  Other.mkv\n{MD5}  ./Film (2020).mkv\n", MD5),
        ("sums.md5", f"MD5 (Film (2020).mkv) = {MD5}\n", MD5),
        ("sums.sha256", f"{SHA}  Film (2020).mkv", SHA),
        ("Film (2020).mkv.md5", MD5, MD5),
        ("Film (2020).sha256", f"{SHA}\n", SHA),
    ],
)
def test_a_checksum_is_found_in_every_spelling(tmp_path, name, text, digest):
    """Windows' case, line ends and marks; GNU's and BSD's order; or nothing but the digits."""
    told = found_in(tmp_path, {name: text})
    assert (told.digest, told.source) == (digest, name)
    assert reference.digest(os.fsencode(tmp_path / "Film (2020).mkv"), told.kind) == (digest, len(FILM))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("release.sfv", f"Other.mkv {CRC}\n"),
        ("release.sfv", f"sub/Film (2020).mkv {CRC}\n"),
        ("release.sfv", ""),
        ("sums.md5", MD5),  # without a name, in a file that is not the film's
        ("sums.md5", f"{MD5[:31]}  Film (2020).mkv\n"),  # cut while it was written
        ("sums.sha256", f"{MD5}  Film (2020).mkv\n"),
        ("Film (2020).txt", MD5),
        ("Film (2020).md5", "\x00\xff" * 5000),
        ("Film (2020).sfv", "a" + " " * 900_000 + "z"),
    ],
)
def test_what_is_not_this_films_checksum_is_none(tmp_path, name, text):
    """Nothing is guessed."""
    assert found_in(tmp_path, {name: text}) is None


def test_the_strongest_is_taken(tmp_path):
    """Several may be there."""
    assert (
        found_in(tmp_path, {"a.sfv": f"Film (2020).mkv {CRC}", "b.sha256": f"{SHA} *Film (2020).mkv"}).kind == "sha256"
    )


def test_names_with_a_line_break_are_spelled_as_sha256sum_does(tmp_path):
    """A backslash before the digits says that the name is escaped."""
    text = f"\\{SHA}  a\\nb\\\\c.mkv\n"
    assert found_in(tmp_path, {"x.sha256": text}, "a\nb\\c.mkv").digest == SHA


def test_odd_things_under_a_checksums_name_do_no_harm(tmp_path):
    """A folder, a pipe that nobody writes, a file too large to be one, a folder that is gone."""
    (tmp_path / "a.sfv").mkdir()
    os.mkfifo(tmp_path / "b.sfv")
    (tmp_path / "c.sfv").write_bytes(b"")
    os.truncate(tmp_path / "c.sfv", 1 << 30)
    assert found_in(tmp_path, {}) is None
    assert reference.find(os.fsencode(tmp_path / "none" / "film.mkv")) is None


def test_reading_ends_when_nobody_waits(tmp_path):
    """Asked before each megabyte."""
    (tmp_path / "film.mkv").write_bytes(bytes(3 << 20))
    asked = iter([False, True])
    _, length = reference.digest(os.fsencode(tmp_path / "film.mkv"), "md5", should_stop=lambda: next(asked))
    assert length == 1 << 20


# --- what a check makes of it


async def verdict_of(path, mode=Mode.FULL):
    return (await integrity.check(await tools.find_tools(), os.fsencode(path), mode)).verdict


def put(folder, content, told, name="film.mkv"):
    film = folder / name
    film.write_bytes(content)
    (folder / "film.md5").write_text(f"{hashlib.md5(told).hexdigest()}  {name}\n")
    return film


async def test_one_that_agrees_is_whole_whatever_decoders_say(tmp_path):
    """As it was published, with odd frames; the note says on whose word."""
    content = bytearray(clips.content("mkv"))
    for frame in [found.start() for found in re.finditer(b"\x0b\x77", bytes(content))][:10]:
        content[frame + 30 : frame + 34] = bytes(255 - byte for byte in content[frame + 30 : frame + 34])
    film = put(tmp_path, content, content)
    verdict = await verdict_of(film)
    assert verdict.status is IntegrityStatus.COMPLETE
    assert verdict.notes == (f"film.md5 agrees (md5 {hashlib.md5(content).hexdigest()}), so it was not decoded",)
    (tmp_path / "film.md5").unlink()
    assert (await verdict_of(film)).status is IntegrityStatus.INCOMPLETE


async def test_one_that_does_not_agree_is_damage_though_it_plays(tmp_path):
    """One bit that no decoder hears."""
    content = clips.content("avi")
    film = put(tmp_path, content, content + b"x", "film.avi")
    verdict = await verdict_of(film)
    assert (verdict.status, verdict.reason) == (IntegrityStatus.INCOMPLETE, Reason.DAMAGED)
    assert verdict.evidence[0].startswith("reference: film.md5 says md5 ")
    assert (
        await verdict_of(film, Mode.QUICK)
    ).status is IntegrityStatus.COMPLETE  # its cost does not grow with the film


async def test_what_is_missing_is_told_by_the_cheaper_layers(tmp_path):
    """ "Cut" and "zeros" say more than "damaged": they may still arrive."""
    content = clips.content("faststart")
    half = len(content) // 2
    assert (await verdict_of(put(tmp_path, content[:half], content, "film.mp4"))).reason is Reason.TRUNCATED
    zeros = content[:half] + bytes(len(content) - half)
    assert (await verdict_of(put(tmp_path, zeros, content, "film.mp4"))).reason is Reason.ZEROS


async def test_a_checksum_from_before_our_stereo_track_does_not_condemn(tmp_path):
    """The film got its track in place, and the checksum stayed as it was."""
    film = tmp_path / "film.mkv"
    clips.ffmpeg(
        *("-i", str(clips.path("mkv")), "-map", "0", "-map", "0:a", "-c", "copy"),
        *("-metadata:s:a:1", "title=English 2.0", str(film)),
    )
    verdict = await verdict_of(put(tmp_path, film.read_bytes(), b"the film before"))
    assert verdict.status is IntegrityStatus.COMPLETE
    assert verdict.notes == ("film.md5 speaks of the film before its stereo track was added",)


async def test_a_film_that_was_changed_after_its_checksum_is_judged_by_itself(tmp_path):
    """Somebody wrote a title into it a day later: the note says what the checksum file says."""
    content = clips.content("avi")
    film = put(tmp_path, content, content + b"x", "film.avi")
    day = 86_400 * 10**9
    written = (tmp_path / "film.md5").stat().st_mtime_ns
    os.utime(film, ns=(written + day, written + day))
    verdict = await verdict_of(film)
    assert verdict.status is IntegrityStatus.COMPLETE
    assert verdict.score < 1
    assert "the film was changed later" in verdict.notes[0]
    os.utime(film, ns=(written - day, written - day))
    assert (await verdict_of(film)).status is IntegrityStatus.INCOMPLETE
