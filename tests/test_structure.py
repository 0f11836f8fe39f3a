"""media/structure: a file is as long as its own headers say, or it is not; told in milliseconds, whatever the bytes."""

import functools
import os
import random
import runpy
import struct
import tempfile

import clips
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.media import structure

DECLARES_ITS_END = ("mp4", "faststart", "fragmented", "mov", "mkv", "webm", "avi", "flv", "ogv", "wmv")


def walk(content):
    """Walk over these bytes as a file."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        return structure.walk(os.fsencode(file.name))


@pytest.mark.parametrize("kind", DECLARES_ITS_END)
def test_a_finished_film_is_whole(kind):
    """Every container that says where it ends is proved by a few kilobytes of it."""
    found = walk(clips.content(kind))
    assert found.status == "whole", found
    assert found.bytes_read < len(clips.content(kind)) + 300_000
    start, end = found.payload[0]
    assert 0 < start < end <= len(clips.content(kind)) or kind == "ogv"


@pytest.mark.parametrize("kind", ["mp4", "faststart", "mov", "mkv", "webm", "avi", "flv"])
def test_the_declared_length_is_told(kind):
    """The header's duration, in seconds."""
    assert walk(clips.content(kind)).declared_sec == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize("kind", ["mp4", "faststart", "mov", "mkv", "webm", "avi", "flv", "ogv", "wmv"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99, 0.999])
def test_a_cut_is_seen_wherever_it_is(kind, share):
    """A download that stopped: no cut film is whole."""
    content = clips.content(kind)
    found = walk(content[: int(len(content) * share)])
    assert found.status in {"cut", "unknown"} if kind == "ogv" else found.status == "cut", found


def test_what_is_missing_is_counted():
    """A Matroska segment declares its size, so the missing bytes are known exactly."""
    content = clips.content("mkv")
    found = walk(content[:-1000])
    assert (found.missing_bytes, found.offset) == (1000, len(content) - 1000)


@pytest.mark.parametrize("kind", ["mp4", "faststart", "mov", "mkv", "webm", "avi"])
@pytest.mark.parametrize("junk", [bytes(65536), random.Random(1).randbytes(65536)], ids=["zeros", "garbage"])
def test_something_behind_a_complete_film_is_a_note(kind, junk):
    """Torrent clients and copiers round sizes up; the film is all there."""
    found = walk(clips.content(kind) + junk)
    assert found.status == "whole", found
    assert "65,5" in found.notes[0]


@pytest.mark.parametrize("kind", sorted(clips.KINDS))
def test_a_head_of_zeros_was_never_written(kind):
    """A pre-allocated file whose first block is missing is cut, whatever follows."""
    found = walk(bytes(4096) + clips.content(kind)[4096:])
    assert (found.status, found.zeros) == ("cut", True)


def test_an_mp4_without_its_movie_header_is_cut():
    """A camera or a muxer that was killed leaves mdat and no moov."""
    content = clips.content("mp4")
    at = content.rindex(b"moov") - 4
    for found in (walk(content[:at]), walk(content[: at + 4] + b"free" + content[at + 8 :])):
        assert found.status == "cut"
        assert "moov" in found.reasons[0]


@pytest.mark.parametrize(("table", "at"), [(b"stts", 11), (b"stsz", 11), (b"stsc", 15), (b"stts", 13), (b"mdhd", 17)])
def test_the_tables_of_an_mp4_count_the_same_samples(table, at):
    """One changed byte in one of them: FFmpeg plays a part of the film, and is content."""
    content = bytearray(clips.content("faststart"))
    content[content.index(table) + 4 + at] ^= 0x40
    found = walk(bytes(content))
    assert found.status == "damaged", found
    assert "samples" in found.reasons[0]


def test_an_avi_without_all_of_its_index_is_cut():
    """By one byte, which the rounding of sizes does not excuse; or because nobody filled what is behind its picture."""
    content = clips.content("avi")
    assert walk(content[:-1]).status == "cut"
    index = content.rindex(b"idx1")
    unfilled = walk(content[:index] + bytes(len(content) - index))
    assert (unfilled.status, unfilled.zeros) == ("cut", True)


def test_an_ogg_with_a_picture_ends_with_a_page_that_says_so():
    """A cut between two pages; a recording of radio ends like that, too."""
    content = clips.content("ogv")
    between = content.rindex(b"OggS", 0, len(content) * 7 // 10)
    assert walk(content[:between]).status == "cut"
    assert walk(content[:between].replace(b"\x80theora", b"\x80thread")).status == "unknown"


def test_a_cover_that_was_never_filled_is_the_end_of_a_film_that_is_still_copied():
    """It is the last thing in an MP4 that ends with its header."""

    def box(kind, *content):
        return (8 + sum(map(len, content))).to_bytes(4, "big") + kind + b"".join(content)

    def film(picture):
        film = bytearray(clips.content("mp4"))
        at = film.rindex(b"moov") - 4
        cover = box(b"covr", box(b"data", bytes((0, 0, 0, 13, 0, 0, 0, 0)), picture))
        tags = box(b"udta", box(b"meta", bytes(4), box(b"ilst", cover)))
        film[at : at + 4] = (len(film) - at + len(tags)).to_bytes(4, "big")
        film[film.rindex(b"udta") : film.rindex(b"udta") + 4] = b"free"
        return walk(bytes(film) + tags)

    assert film(b"\xff\xd8" + b"picture" * 1000).status == "whole"
    found = film(b"\xff\xd8" + b"picture" * 1000 + bytes(4096))
    assert (found.status, found.zeros) == ("cut", True)


def test_a_film_of_thirty_thousand_years_does_not_say_how_long_it_is():
    content = bytearray(clips.content("mp4"))
    at = content.index(b"mvhd") + 16
    content[at : at + 8] = (1).to_bytes(4, "big") + (1 << 30).to_bytes(4, "big")
    assert walk(bytes(content)).declared_sec is None


def test_an_asf_cut_in_the_head_of_its_data_has_no_payload():
    content = clips.content("wmv")
    at = content.index(bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c"))
    assert walk(content[: at + 30]).payload == ((at + 30, at + 30),)


def test_a_header_of_flv_that_ends_behind_the_file_is_damage():
    """Its length is one changed bit away from that."""
    content = bytearray(clips.content("flv"))
    content[5] ^= 0x10
    assert walk(bytes(content)).status == "damaged"


def test_a_movie_header_of_zeros_is_told():
    """The last blocks of a file are written last: zeros there are not damage but waiting."""
    content = clips.content("mp4")
    at = content.rindex(b"moov") + 4
    found = walk(content[:at] + bytes(len(content) - at))
    assert (found.status, found.zeros) == ("cut", True)


def test_a_header_without_a_film_is_cut():
    """An initialisation segment alone plays nothing, and FFmpeg exits 0 on it."""
    content = clips.content("fragmented")
    assert walk(content[: content.index(b"moof") - 4]).status == "cut"


def test_fragments_without_an_index_prove_nothing():
    """A cut between fragments cannot be seen: "unknown" asks for the longer look."""
    content = clips.content("fragmented")
    assert walk(content[: content.rindex(b"moof") - 4]).status == "unknown"


def test_a_cluster_that_was_overwritten_is_damage():
    """The chain of clusters does not lead to the end any more."""
    content = clips.content("mkv")
    at = content.rindex(b"\x1f\x43\xb6\x75")
    found = walk(content[:at] + b"\xff" * 64 + content[at + 64 :])
    assert (found.status, found.offset) == ("damaged", at)
    assert walk(content[:at] + bytes(600) + content[at + 600 :]).zeros


def test_a_live_recording_declares_no_end(tmp_path):
    """Written to a pipe, a segment's size stays unknown; cut within an element, it is still cut."""
    live = tmp_path / "live.mkv"
    clips.ffmpeg("-i", str(clips.path("mkv")), "-c", "copy", "-f", "matroska", "-live", "1", str(live))
    content = live.read_bytes()
    assert walk(content).status == "unknown"
    assert walk(content[:-7]).status == "cut"


def test_a_transport_stream_ends_with_a_whole_packet():
    """It declares no length; a part of a packet at its end is a cut, zeros are an unwritten end."""
    content = clips.content("ts")
    assert walk(content).status == "unknown"
    assert walk(content[:-100]).status == "cut"
    assert walk(content[:-18800] + bytes(18800)).zeros
    m2ts = b"".join(b"\0\0\0\0" + content[n : n + 188] for n in range(0, len(content), 188))
    assert walk(m2ts).status == "unknown"
    assert walk(m2ts[:-50]).status == "cut"


def test_a_program_stream_ends_with_a_whole_packet():
    """It declares no length either; within its last packet a cut is seen."""
    content = clips.content("mpg")
    assert walk(content).status == "unknown"
    assert walk(content[:-100]).status == "cut"
    assert walk(content[: len(content) // 2 + 77]).status == "cut"


def test_a_program_stream_that_ends_in_zeros_was_never_filled():
    """Its padding is of 0xFF; what follows its end code is not its own."""
    film = clips.content("mpg").removesuffix(b"\0\0\1\xb9")
    half = len(film) // 2
    for broken in (film[:half] + bytes(len(film) - half), film + bytes(4096)):
        found = walk(broken)
        assert (found.status, found.zeros) == ("cut", True)
    assert walk(film[:half] + bytes(len(film) - half)).offset == len(film[:half].rstrip(b"\0"))
    assert not walk(film + b"\0\0\1\xb9" + bytes(4096)).zeros


@pytest.mark.parametrize(
    "content",
    [
        b"This is not a film, it is a text file.\n" * 300,
        "Ein Film für später: ça va".encode() * 9,
        b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1/x.ts\n",
        b"PK\x03\x04" + bytes(range(256)) * 20,
        b"MZ" + bytes(200) + bytes(range(256)) * 20,
        b"\x7fELF\x02\x01" + bytes(100),
        b"%PDF-1.7\n" + bytes(range(256)),
    ],
)
def test_text_programs_and_archives_are_no_films(content):
    """Told by content; the name may say .mkv."""
    assert walk(content).status == "not_media"


def test_media_we_do_not_walk_is_still_recognised():
    """The name of the container is known, the proof is left to FFmpeg."""
    found = walk(b"nut/multimedia container\0" + bytes(range(256)) * 9)
    assert (found.status, found.container) == ("unknown", "nut")
    assert walk(clips.content("mpg")).container == "mpegps"


def test_nothing_is_an_empty_file():
    """Zero bytes are cut."""
    assert walk(b"").status == "cut"


def test_a_film_of_a_terabyte_is_walked_in_a_few_reads(tmp_path):
    """64-bit sizes are jumped over, not read."""
    content = clips.content("faststart")
    at = content.index(b"mdat") - 4
    huge = tmp_path / "huge.mp4"
    with huge.open("wb") as file:
        file.write(content[:at] + struct.pack(">I4sQ", 1, b"mdat", 1 << 40) + content[at + 8 :])
        file.truncate(at + (1 << 40))
    found = structure.walk(os.fsencode(huge))
    assert found.status == "whole"
    assert found.bytes_read < 20_000
    os.truncate(huge, at + (1 << 40) - 5)
    assert structure.walk(os.fsencode(huge)).missing_bytes == 5


def test_a_long_matroska_film_is_walked_at_its_ends(tmp_path):
    """500 clusters: the head, the tail and some that the index names are read."""
    film = tmp_path / "long.mkv"
    clips.ffmpeg(
        *("-f", "lavfi", "-i", "color=size=16x16:rate=10:duration=100", "-c:v", "mjpeg"),
        *("-cluster_time_limit", "100", str(film)),
    )
    assert film.read_bytes().count(b"\x1f\x43\xb6\x75") > 400
    found = structure.walk(os.fsencode(film))
    assert found.status == "whole"
    assert found.bytes_read < 100_000


def test_a_hostile_file_of_tiny_boxes_ends():
    """A million boxes, or a million clusters of unknown size, are given up, not followed."""
    assert walk(b"\0\0\0\x08free" * 200_000).status == "unknown"
    head = bytes.fromhex("1a45dfa3801853806701ffffffffffffff")
    assert walk(head + bytes.fromhex("1f43b675ff") * 200_000).status in {"unknown", "cut"}


def test_only_the_disk_raises(tmp_path):
    """A file that is not there is an OSError; a pipe does not hold us."""
    with pytest.raises(FileNotFoundError):
        structure.walk(os.fsencode(tmp_path / "none"))
    os.mkfifo(tmp_path / "pipe")
    assert structure.walk(os.fsencode(tmp_path / "pipe")).status == "cut"


MAGICS = [
    b"\x1a\x45\xdf\xa3",
    b"\0\0\0\x18ftypisom",
    b"RIFF\xff\0\0\0AVI ",
    b"FLV\x01\x05\0\0\0\x09",
    b"OggS\0",
    b"\x47" * 1000,
    b"fLaC\x80\0\0\x22",
    b"ID3\4\0\0\0\0\0\0\xff\xfb\x90\0",
    b"\xff\xf1\x50\x80\x01\x00\xfc" * 20,
    b"\x0b\x77",
]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([*MAGICS, b""]), st.binary(max_size=2000))
def test_no_bytes_make_it_raise(magic, rest):
    """Random bytes behind every magic."""
    walk(magic + rest)


@functools.cache
def heads():
    return [clips.content(kind) for kind in sorted(clips.KINDS | clips.SOUNDS)]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_damage_makes_it_raise(data):
    """Real films with bytes changed in their headers, cut anywhere."""
    content = bytearray(data.draw(st.sampled_from(heads())))
    near = st.integers(0, len(content) - 1) | st.integers(0, 600) | st.integers(len(content) - 1500, len(content) - 1)
    for at, value in data.draw(st.lists(st.tuples(near, st.integers(0, 255)), max_size=12)):
        content[at] = value
    found = walk(bytes(content[: data.draw(st.just(len(content)) | st.integers(0, len(content)))]))
    assert all(0 <= start <= end <= len(content) for start, end in found.payload)


def test_a_short_run_of_the_fuzzer_finds_nothing():
    """The same 400 films every time; `tests/fuzz/structure.py` goes on for as long as it is let."""
    fuzz = runpy.run_path(os.path.join(os.path.dirname(__file__), "fuzz", "structure.py"))
    tried, found, _ = fuzz["run"](heads(), 0, 400, 60)
    assert (tried, found) == (400, "")
