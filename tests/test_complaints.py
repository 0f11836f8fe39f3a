"""media/complaints and media/decode: which lines count, and what is asked of FFmpeg."""

import re

import clips
import pytest

from watcher.media import complaints, decode, integrity
from watcher.media.ffmpeg import Progress, Tools
from watcher.media.probe import Probe
from watcher.rules.audio import Stream
from watcher.rules.statuses import IntegrityStatus, Mode

TOOLS = Tools("ffmpeg", "ffprobe", "5", frozenset({"h264", "ac3", "mjpeg"}))


def listener(container="matroska", codecs=("h264", "ac3"), **options):
    return complaints.Listener(frozenset(codecs), container, **options)


@pytest.mark.parametrize(
    "line",
    [
        "[null @ 0x55] [error] Application provided invalid, non monotonically increasing dts to muxer in stream 0: 1 >= 1",
        "[error] Decoder (codec none) not found for input stream #0:2",
        "[matroska,webm @ 0x1] [error] Could not find codec parameters for stream 3 (Audio: none)",
        "[png @ 0x1] [error] Invalid PNG signature",
        "[error] Error marking filters as finished",
    ],
)
def test_lines_of_intact_films_are_ignored(line):
    """Each was seen on a film that plays from beginning to end."""
    assert listener().ignores(line)


@pytest.mark.parametrize(
    "line",
    [
        "[h264 @ 0x1] [error] error while decoding MB 10 2, bytestream -5",
        "[error] Error while decoding stream #0:1: Invalid data found when processing input",
        "[aac @ 0x1] [error] channel element 2.3 is not allocated",
    ],
)
def test_lines_about_the_content_count(line):
    """They are what a damaged film makes FFmpeg say."""
    assert not listener().ignores(line)


def test_of_the_warnings_only_a_picture_marked_as_corrupt_counts():
    """FFmpeg 5 and 8 say it differently; a line without a level goes on with the one before it."""
    ears = listener()
    assert not ears.ignores("[vist#0:0/h264 @ 0x1] [dec:h264 @ 0x2] [warning] corrupt decoded frame")
    assert not ears.ignores("[warning] file:/films/a [error] b.mkv: corrupt decoded frame in stream 0")
    assert ears.ignores("[matroska,webm @ 0x1] [warning] Could not find codec parameters for stream 2 (Subtitle: none)")
    assert ears.ignores("Consider increasing the value for the 'analyzeduration' (0) and 'probesize' options")
    assert not ears.ignores("[h264 @ 0x1] [error] error while decoding MB 10 2, bytestream -5")
    assert not ears.ignores("and so on")


def test_a_corrupt_picture_follows_its_decoders_own_complaint_or_is_one_itself():
    """Counted once; and alone it is no complaint of intact films."""
    marked = "[dec:ac3 @ 0x2] [warning] corrupt decoded frame"
    mismatch = "[ac3 @ 0x1] [error] frame CRC mismatch"
    assert complaints.defects((mismatch, marked)) == 1
    assert complaints.are_of_intact_films((mismatch, marked))
    assert complaints.defects((marked,)) == 1
    assert not complaints.are_of_intact_films((marked,))


def test_a_cover_picture_may_be_broken_but_not_a_film_of_pictures():
    """mjpeg is a cover's codec, unless the film itself is mjpeg."""
    line = "[mjpeg @ 0x1] [error] overread 8"
    assert listener().ignores(line)
    assert not listener(codecs=("mjpeg",)).ignores(line)


def test_what_is_harmless_once_is_not_harmless_often():
    """FFmpeg 8.0 says it once at the end of an Opus track; a damaged one makes it say so all the time."""
    ears, line = listener(), "[opus @ 0x1] [error] Error parsing Opus packet header."
    assert [ears.ignores(line) for _ in range(4)] == [True, True, False, False]


def test_a_seek_makes_decoders_complain():
    """Missing references after a seek are no damage; in a whole decoding they are."""
    line = "[h264 @ 0x1] [error] mmco: unref short failure"
    assert listener(after_seek=True).ignores(line)
    assert not listener().ignores(line)


def test_references_that_were_left_out_are_missed_in_a_pass_over_key_frames():
    """That is no damage; what is said of a key frame itself may be."""
    left_out = "[h264 @ 0x1] [error] illegal short term buffer state detected"
    assert listener(skips=True).ignores(left_out)
    assert not listener().ignores(left_out)
    assert not listener(skips=True).ignores("[h264 @ 0x1] [error] error while decoding MB 27 6, bytestream -31")


def test_a_broadcast_may_begin_in_the_middle_but_not_go_on_so():
    """Until the first key frame of a recording the parameter sets are missing; later that is damage."""
    line = "[h264 @ 0x1] [error] non-existing PPS 0 referenced"
    ears = listener("mpegts")
    assert ears.ignores(line)
    ears.moved(Progress(30.0, 750, 9.0))
    assert not ears.ignores(line)
    assert not listener("matroska").ignores(line)


def test_pictures_shown_and_never_finished_are_counted():
    """One more finished than shown is ordinary in a transport stream; what else is said at that level is nothing."""
    ears = listener(codecs=("hevc",))
    for word in ("Output", "Decoded", "Decoded"):
        assert ears.ignores(f"[hevc @ 0x1] [debug] {word} frame with POC 3.")
    assert ears.ignores("[hevc @ 0x1] [debug] error while reading")
    assert not ears.unfinished
    assert ears.ignores("[hevc @ 0x1] [debug] Output frame with POC 4.")
    assert ears.ignores("[hevc @ 0x1] [debug] Output frame with POC 5.")
    assert "1 pictures" in ears.unfinished
    assert complaints.speaks_of_the_middle((ears.unfinished,))
    assert not complaints.are_of_intact_films((ears.unfinished,))


def test_every_harmless_line_has_its_reason_and_the_film_and_version_it_was_seen_on():
    """The table is the documentation."""
    for entry in complaints.BENIGN:
        assert len(entry.reason) > 10
        assert re.match(r"(\d\.\d(\.\d)?(, | and )?)+: \S", entry.seen), entry.seen


async def test_a_broken_tag_before_a_film_is_no_damage(tmp_path, ours):
    """A text that does not say in which order its bytes are, and a picture that is none."""
    clips.ffmpeg("-f", "lavfi", "-i", "sine=duration=2", "-id3v2_version", "0", tmp_path / "bare.mp3")
    frames = b"".join(
        name + len(content).to_bytes(4, "big") + bytes(2) + content
        for name, content in ((b"TIT2", b"\x01ab cd"), (b"APIC", b"\0image/png\0\3\0no picture"))
    )
    head = b"ID3\x03\0\0" + bytes((len(frames) >> shift) & 127 for shift in (21, 14, 7, 0))
    film = tmp_path / "film.mp3"
    film.write_bytes(head + frames + (tmp_path / "bare.mp3").read_bytes())
    verdict = (await integrity.check(ours, bytes(film), Mode.FULL)).verdict
    assert verdict.status is IntegrityStatus.COMPLETE, verdict


def test_one_defect_in_two_lines_is_one():
    """FFmpeg 5 adds the caller's line to the decoder's; a lone one still counts."""
    own, added = (
        "[h264 @ 0x1] [error] A non-intra slice in an IDR NAL unit.",
        "[h264 @ 0x1] [error] decode_slice_header error",
    )
    assert complaints.defects((own, added, own, added)) == 2
    assert complaints.defects((added,)) == 1
    assert complaints.defects(()) == 0


def test_only_picture_and_sound_are_chosen():
    """A cover is no picture of the film; what has no decoder is read only."""
    streams = (
        Stream(0, "video", "h264"),
        Stream(1, "audio", "ac3"),
        Stream(2, "audio", "mpegh_3d_audio"),
        Stream(3, "video", "mjpeg", dispositions=frozenset({"attached_pic"})),
        Stream(4, "subtitle", "subrip"),
    )
    chosen = decode.choose(Probe("matroska", 2, 1, streams=streams), TOOLS)
    assert [stream.index for stream in (*chosen.video, *chosen.audio)] == [0, 1]
    assert [stream.index for stream in chosen.unverified] == [2]
    command = [str(word) for word in decode.command(TOOLS, b"/f", chosen, threads=1, key_frames=True)]
    assert [command[n + 1] for n, word in enumerate(command) if word == "-map"] == ["0:0?", "0:1?", "0:2?"]
    assert command.index("-skip_frame:v") < command.index("-i")


def test_key_frames_are_only_asked_of_a_picture():
    """FFmpeg 8 refuses the option for a film of sound."""
    chosen = decode.Chosen((), (Stream(0, "audio", "ac3"),), ())
    assert "-skip_frame:v" not in decode.command(TOOLS, b"/f", chosen, threads=1, key_frames=True)


def test_samples_reach_from_the_beginning_to_the_end():
    """Six windows; the last one ends with the film."""
    found = decode.windows(7200)
    assert [window.start_sec for window in found] == [0, 1440, 2880, 4320, 5760, 7198]
    assert [window.length_sec for window in found] == [1, 1, 1, 1, 1, None]


async def test_a_plain_film_makes_no_line_at_all():
    """The null muxer's 240 complaints do not come with the options used."""
    streams = (Stream(0, "video", "h264"), Stream(1, "audio", "ac3"))
    finished = await decode.run_pass(
        TOOLS,
        bytes(clips.path("mkv")),
        decode.Chosen(streams[:1], streams[1:], ()),
        "matroska",
        threads=1,
        time_limit_sec=60,
    )
    assert (finished.returncode, finished.stderr_lines) == (0, ())
    assert finished.progress.out_time_sec == pytest.approx(2, abs=0.1)


INTACT = {
    "the last frame is cut": ["[ac3 @ 0x1] [error] frame CRC mismatch"],
    "a broadcast's first and last sound": [
        "[error] Error while decoding stream #0:1: Invalid data found when processing input",
        "[ac3 @ 0x1] [error] incomplete frame",
    ],
    "an encoder's own way": [
        "[h264 @ 0x1] [error] A non-intra slice in an IDR NAL unit.",
        "[h264 @ 0x1] [error] decode_slice_header error",
    ]
    * 2,
    "an Ogg cut out of another": ["[ogg @ 0x1] [error] invalid pts -12784"],
    "begins at a picture that refers back": ["[h264 @ 0x1] [error] mmco: unref short failure"],
}
CHANGED = {
    "garbage in one picture": ["[h264 @ 0x1] [error] error while decoding MB 27 6, bytestream -31"],
    "one bit of HEVC": ["[hevc @ 0x1] [error] The cu_qp_delta 130 is outside the valid range [-26, 25]."],
    "a frame nobody explains": ["[vist#0:0/vp9 @ 0x1] [dec:vp9 @ 0x2] [error] Error submitting packet to decoder: X"],
    "two frames of sound": ["[ac3 @ 0x1] [error] frame CRC mismatch"] * 2,
    "one known line, one other": [*INTACT["the last frame is cut"], "[aac @ 0x1] [error] Reserved bit set."],
    "no line at all": [],
}


@pytest.mark.parametrize("lines", INTACT.values(), ids=INTACT)
def test_some_lines_may_be_forgiven(lines):
    """Each was seen on intact films, once or twice."""
    assert complaints.are_of_intact_films(tuple(lines))


@pytest.mark.parametrize("lines", CHANGED.values(), ids=CHANGED)
def test_one_line_about_changed_content_is_enough(lines):
    """Decoders complain once about one damaged place and go on: few lines are no sign of a whole film."""
    assert not complaints.are_of_intact_films(tuple(lines))


def test_a_demuxer_may_stumble_over_what_stands_behind_the_film():
    """Only where the headers proved that something does, and only the demuxer."""
    stumbles = ("[in#0/ogg @ 0x1] [error] Error during demuxing: Invalid data found when processing input",)
    assert complaints.are_of_intact_films(stumbles, more_behind=True)
    assert not complaints.are_of_intact_films(stumbles)
    assert not complaints.are_of_intact_films((*stumbles, *CHANGED["garbage in one picture"]), more_behind=True)
