"""media/remux and media/downmix: what a plan says, said in options of ffmpeg. Pure."""

import pytest
from plans import MKV, MP4, VIDEO, film, plan_of

from watcher.media import encoder, remux
from watcher.media.downmix import StereoSettings
from watcher.media.ffmpeg import Tools
from watcher.media.probe import Probe
from watcher.rules.audio import Stream

TOOLS = Tools("ffmpeg", "ffprobe", "5.1")


def command_of(probe, name=b"/films/Film.mkv", covers=(), **settings):
    plan = plan_of(probe, name, **settings)
    words = remux.command(TOOLS, name, b"/films/.tmp", probe, plan, StereoSettings(**settings), "anull", covers)
    return [word.decode() if isinstance(word, bytes) else word for word in words]


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
    assert after(first, "-map") == ["0:0", "0:1", "0:2", "0:3", "0:1", "0:6", "0:4"]
    assert after(words, "-attach") == ["file:/tmp/5"]
    assert after(words, "-metadata:s:7") == ["filename=c.jpg"]


def test_every_disposition_is_said():
    """FFmpeg otherwise picks defaults of its own."""
    words = command_of(film(Stream(2, "subtitle", "ass", dispositions=frozenset({"forced", "default"}))))
    assert [after(words, f"-disposition:{n}") for n in range(4)] == [["default"], ["0"], ["0"], ["default+forced"]]


def test_inherited_tags_are_cleared_from_the_new_track():
    """Statistics of the source would be wrong on it."""
    assert after(command_of(film()), "-metadata:s:2") == ["language=eng", "BPS=", "title=English 2.0"]


def test_the_containers_own_options():
    """Dolby Vision in MP4 needs -strict unofficial; tags outside iTunes' list need QuickTime's way."""
    mp4 = command_of(film(format_name=MP4, tags={"major_brand": "mp42", "title": "x"}))
    assert after(mp4, "-strict") == ["unofficial"]
    assert after(mp4, "-movflags") == ["+faststart"]
    assert after(mp4, "-brand") == ["mp42"]
    assert after(mp4, "-f") == ["mp4", "framehash"]
    odd = command_of(film(format_name=MP4, tags={"major_brand": "dash", "com.apple.make": "x"}))
    assert after(odd, "-movflags") == ["+faststart+use_metadata_tags"]
    assert after(odd, "-brand") == []
    assert after(command_of(film()), "-default_mode") == ["passthrough"]


def test_sound_over_48_khz_is_brought_down():
    """AAC knows 96 kHz, players do not."""
    assert not after(command_of(film()), "-ar:2")
    high = Stream(1, "audio", "truehd", "eng", channels=8, sample_rate=96_000)
    assert after(command_of(Probe(MKV, 1.0, 1, {}, (VIDEO, high))), "-ar:2") == ["48000"]


@pytest.mark.parametrize(
    ("codec", "rate", "told"),
    [
        ("aac", 44_100, []),
        ("aac", 22_050, []),
        ("aac", 192_000, ["48000"]),
        ("ac3", 44_100, []),
        ("ac3", 22_050, ["48000"]),
        ("opus", 48_000, []),
        ("opus", 44_100, ["48000"]),
    ],
)
def test_a_codec_gets_a_sample_rate_that_it_knows(codec, rate, told):
    """What it knows is left as it is."""
    sound = Stream(1, "audio", "flac", "eng", channels=6, sample_rate=rate)
    assert after(command_of(Probe(MKV, 1.0, 1, {}, (VIDEO, sound)), codec=codec), "-ar:2") == told


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
