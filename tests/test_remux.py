"""media/remux and media/downmix: what a plan says, said in options of ffmpeg. Pure."""

import pytest
from plans import MKV, MP4, film, plan_of

from watcher.media import encoder, remux
from watcher.media.downmix import StereoSettings
from watcher.media.ffmpeg import Tools
from watcher.rules.audio import Stream

TOOLS = Tools("ffmpeg", "ffprobe", "5.1")


def command_of(probe, name=b"/films/Film.mkv", covers=(), **settings):
    plan, track = plan_of(probe, name, **settings), b"/films/.track"
    words = remux.command(TOOLS, name, track, b"/films/.tmp", probe, plan, StereoSettings(**settings), covers)
    return [word.decode() if isinstance(word, bytes) else word for word in words]


def encoding_of(probe, **settings):
    plan = plan_of(probe, **settings)
    outputs = {"[p0]": "pipe:7", "[p1]": "pipe:9"}
    return remux.encode_command(TOOLS, ["-i", "x"], plan, StereoSettings(**settings), "graph", outputs)


def after(words, option):
    """Give every value that follows an option."""
    return [words[at + 1] for at, word in enumerate(words) if word == option]


def test_the_new_track_follows_the_last_sound_track_and_attachments_come_last():
    """Every stream is mapped by its number, in the film's order."""
    more = [Stream(2, "subtitle", "subrip"), Stream(3, "audio", "aac", "ger"), Stream(4, "attachment", "ttf")]
    more += [Stream(5, "video", "mjpeg", dispositions=frozenset({"attached_pic"}), tags={"filename": "c.jpg"})]
    more += [Stream(6, "subtitle", "ass")]
    plan = plan_of(film(*more))
    assert (plan.mapped, plan.made_at, plan.covers) == ((0, 1, 2, 3, 6, 4), 4, (5,))
    assert plan.places() == ((0, 0), (1, 1), (2, 2), (3, 3), (6, 5), (4, 6), (5, 7))
    words = command_of(film(*more), covers=[b"/tmp/5"])
    first = words[: words.index("-map_metadata")]
    assert after(first, "-map") == ["0:0", "0:1", "0:2", "0:3", "1:0", "0:6", "0:4"]
    assert after(words, "-attach") == ["file:/tmp/5"]
    assert after(words, "-metadata:s:7") == ["filename=c.jpg"]


def test_every_disposition_is_said():
    """FFmpeg otherwise picks defaults of its own."""
    words = command_of(film(Stream(2, "subtitle", "ass", dispositions=frozenset({"forced", "default"}))))
    assert [after(words, f"-disposition:{n}") for n in range(4)] == [["default"], ["0"], ["0"], ["default+forced"]]


def test_the_new_track_has_its_own_tags_and_begins_before_the_film_by_what_its_encoder_puts_there():
    """In MP4 its name stands where players look for it."""
    assert after(command_of(film()), "-metadata:s:2") == ["language=eng", "title=English 2.0"]
    mp4 = after(command_of(film(format_name=MP4)), "-metadata:s:2")
    assert mp4 == ["language=eng", "title=English 2.0", "handler_name=English 2.0"]
    assert after(command_of(film()), "-itsoffset") == ["-0.021333333"]
    assert after(command_of(film(), codec="ac3"), "-itsoffset") == ["-0.005333333"]


def test_each_piece_goes_its_own_way_a_packet_at_a_time():
    """FFmpeg closes no output before the last one ends: what it kept back would come too late."""
    words = encoding_of(film())
    assert after(words, "-map") == ["[p0]", "[p1]"]
    assert after(words, "-flush_packets") == ["1", "1"]
    assert after(words, "-f") == ["adts", "adts"]
    assert words.index("[p0]") < words.index("pipe:7") < words.index("[p1]") < words.index("pipe:9")


def test_the_containers_own_options():
    """Dolby Vision in MP4 needs -strict unofficial; tags outside iTunes' list need QuickTime's way."""
    mp4 = command_of(film(format_name=MP4, tags={"major_brand": "mp42", "title": "x"}))
    assert after(mp4, "-strict") == ["unofficial"]
    assert after(mp4, "-movflags") == ["+faststart"]
    assert after(mp4, "-brand") == ["mp42"]
    assert after(mp4, "-f") == ["aac", "mp4", "framehash"]
    odd = command_of(film(format_name=MP4, tags={"major_brand": "dash", "com.apple.make": "x"}))
    assert after(odd, "-movflags") == ["+faststart+use_metadata_tags"]
    assert after(odd, "-brand") == []
    assert after(command_of(film()), "-default_mode") == ["passthrough"]


@pytest.mark.parametrize(
    ("codec", "rate", "given"),
    [
        ("aac", 44_100, 44_100),
        ("aac", 22_050, 22_050),
        ("aac", 96_000, 48_000),
        ("aac", 37_800, 48_000),
        ("ac3", 44_100, 44_100),
        ("ac3", 22_050, 48_000),
        ("opus", 48_000, 48_000),
        ("opus", 44_100, 48_000),
    ],
)
def test_a_codec_gets_a_sample_rate_that_it_knows(codec, rate, given):
    """What it knows is left as it is, but for what players do not: AAC above 48 kHz."""
    sound = Stream(1, "audio", "flac", "eng", channels=6, sample_rate=rate)
    assert encoder.sample_rate(codec, sound) == given


@pytest.mark.parametrize(
    ("format_name", "brand", "wanted", "given"),
    [
        (MKV, None, "opus", "opus"),
        (MKV, None, "ac3", "ac3"),
        (MP4, "isom", "ac3", "ac3"),
        (MP4, "isom", "opus", "aac"),
        (MP4, "qt  ", "opus", "aac"),
        ("avi", None, "opus", "opus"),
    ],
)
def test_a_container_gets_the_codec_wanted_or_aac(format_name, brand, wanted, given):
    """Opus in MP4 is silence on televisions."""
    probe = film(format_name=format_name, tags={"major_brand": brand} if brand else {})
    assert plan_of(probe, codec=wanted).codec == given
    assert encoder.codec_of("webm", wanted) == "opus"


def test_names_are_arguments_with_a_protocol():
    """No name can be an option."""
    words = command_of(film(), b"-rf")
    assert not [word for word in words if word == "-rf"]
    assert any(word.startswith("file:/") and word.endswith("/-rf") for word in words)


def test_outputs_are_queued_where_ffmpeg_knows_how():
    """Version 5 takes the option for inputs only, and ends with an error where it stands before an output."""
    old, new = (
        remux.command(Tools("ffmpeg", "ffprobe", "", major=major), b"/f", b"/t", b"/r", film(), plan_of(film()), StereoSettings())
        for major in (5, 8)
    )  # fmt: skip
    assert after(old, "-thread_queue_size") == ["0", "0"]
    assert after(new, "-thread_queue_size") == ["0", "0", "100", "100"]
