"""media/proof: whatever a result lacks of the film is found, named, and refuses it; what is a muxer's own is forgiven."""

from dataclasses import replace

import pytest

from watcher.errors import ConversionFailed
from watcher.media import layout, proof
from watcher.media.downmix import StereoSettings
from watcher.media.passed import Passed
from watcher.media.probe import Probe
from watcher.rules.audio import Decision

SETTINGS = StereoSettings()


def raw(index, kind, codec, dispositions=(), tags=None, **more):
    flags = dict.fromkeys(("default", "forced", "attached_pic"), 0) | dict.fromkeys(dispositions, 1)
    base = {"index": index, "codec_type": kind, "codec_name": codec, "disposition": flags, "tags": tags or {}}
    return base | {"start_time": "0.000000"} | more


def film_json():
    return {
        "format": {
            "format_name": "matroska,webm",
            "duration": "60",
            "size": "1",
            "tags": {"title": "T", "ENCODER": "a"},
        },
        "streams": [
            raw(0, "video", "h264", ["default"], width=160, color_space="bt709", side_data_list=[{"x": 1}]),
            raw(1, "audio", "ac3", ["default"], {"language": "eng"}, channels=6, sample_rate="48000"),
            raw(2, "subtitle", "subrip", ["forced"], {"language": "eng", "title": "Signs"}),
            raw(3, "attachment", "ttf", (), {"filename": "a.ttf"}, extradata_hash="SHA256:1"),
        ],
        "chapters": [{"id": 1, "start_time": "0.0", "end_time": "30.0", "tags": {"title": "One"}}],
    }


def result_json():
    """Give what ffprobe says of a flawless result: the muxer's own traces on it."""
    data = film_json()
    made = raw(2, "audio", "aac", (), {"language": "eng", "title": "English 2.0"}, channels=2, sample_rate="48000")
    data["streams"].insert(2, made)
    for at, stream in enumerate(data["streams"]):
        stream.update(index=at, start_time="0.021000", duration="59", bit_rate=str(at), time_base="1/1000")
        stream["tags"] |= {"DURATION": "00:01:00.02", "ENCODER": "Lavc"}
    data["format"]["tags"]["ENCODER"] = "Lavf"
    return data


BEFORE = Probe.from_dict(film_json())
PLAN = layout.plan(BEFORE, Decision("make", "english_surround", "", source=1), b"/f/Film.mkv", SETTINGS)
PASSED = [Passed(9, "a", 11, 0.0), Passed(9, "b", 12, 0.0), Passed(9, "c", 13, 0.0), Passed(9, "made", 0, -0.021)]


def prove(data, passed=PASSED, settings=SETTINGS, before=BEFORE, plan=PLAN):
    after = Probe.from_dict(data)
    proof.require_track(after, plan, settings)
    proof.require_equal(before, after, plan, settings, (PASSED, passed))


def test_a_flawless_result_passes():
    """New numbers, a shift by the encoder's 21 ms, lengths, statistics and the encoder's name are the muxer's own."""
    prove(result_json())


def lose_tag(data):
    del data["streams"][3]["tags"]["title"]


def lose_language(data):
    data["streams"][1]["tags"]["language"] = "ger"


def lose_side_data(data):
    del data["streams"][0]["side_data_list"]


def lose_colour(data):
    data["streams"][0]["color_space"] = "unknown"


def lose_forced(data):
    data["streams"][3]["disposition"]["forced"] = 0


def gain_default(data):
    data["streams"][3]["disposition"]["default"] = 1


def change_font(data):
    data["streams"][4]["extradata_hash"] = "SHA256:2"


def lose_font(data):
    del data["streams"][4]


def double_stream(data):
    data["streams"].append(raw(5, "video", "mjpeg"))


def lose_chapter(data):
    data["chapters"] = []


def move_chapter(data):
    data["chapters"][0]["start_time"] = "0.2"


def rename_chapter(data):
    data["chapters"][0]["tags"]["title"] = "Eins"


def lose_title(data):
    del data["format"]["tags"]["title"]


def mark_default(data):
    data["streams"][2]["disposition"]["default"] = 1


def misname(data):
    data["streams"][2]["tags"]["title"] = "Main"


def make_mono(data):
    data["streams"][2]["channels"] = 1


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lose_tag, "stream 2: the tag title was 'Signs', is None"),
        (lose_language, "stream 1: the tag language was 'eng', is 'ger'"),
        (lose_side_data, "stream 0: side_data_list"),
        (lose_colour, "stream 0: color_space was bt709, is unknown"),
        (lose_forced, "stream 2: its dispositions were ['forced'], are []"),
        (gain_default, "stream 2: its dispositions"),
        (change_font, "attachment 3 differs"),
        (lose_font, "4 streams stand where 5 should"),
        (double_stream, "6 streams stand where 5 should"),
        (lose_chapter, "1 chapters were there, 0 are"),
        (move_chapter, "chapter 1 moved by 0.200 s"),
        (rename_chapter, "chapter 1: the tag title was 'One', is 'Eins'"),
        (lose_title, "the film: the tag title was 'T', is None"),
        (mark_default, "not marked as it should be"),
        (misname, "not marked as it should be"),
        (make_mono, "not marked as it should be"),
    ],
)
def test_a_loss_is_found_and_named(damage, told):
    """Each row takes one thing from a flawless result."""
    data = result_json()
    damage(data)
    with pytest.raises(ConversionFailed) as failed:
        prove(data)
    assert failed.value.reason == "proof_failed"
    assert told in failed.value.detail


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"content": "x"}, "packets of stream 1 differ"),
        ({"packets": 8}, "stream 1 had 9 packets, has 8"),
        ({"times": 1}, "packets of stream 1 stand at other times"),
        ({"first_sec": 0.04}, "stream 1 moved by +0.040 s against stream 0"),
    ],
)
def test_other_packets_and_other_times_are_found(other, told):
    """Of each stream: how many, which, and when."""
    with pytest.raises(ConversionFailed) as failed:
        prove(result_json(), [PASSED[0], replace(PASSED[1], **other), *PASSED[2:]])
    assert told in failed.value.detail


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"content": "x"}, "the packets of the new track differ"),
        ({"packets": 8}, "the new track had 9 packets, has 8"),
        ({"first_sec": 0.0}, "the new track moved by +0.021 s against stream 2"),
    ],
)
def test_the_new_track_is_in_the_result_as_it_was_made(other, told):
    """All of it, and as early before the film as its encoder begins."""
    with pytest.raises(ConversionFailed) as failed:
        prove(result_json(), [*PASSED[:3], replace(PASSED[3], **other)])
    assert failed.value.detail == told


def test_a_film_may_move_as_a_whole():
    """FFmpeg 5 moves all streams by the 21 ms that an AAC encoder begins early."""
    prove(result_json(), [replace(passed, first_sec=passed.first_sec + 0.021) for passed in PASSED])


def test_many_losses_are_told_in_a_sentence_of_bounded_length():
    """Five are named, the rest counted."""
    data = result_json()
    data["streams"][0] |= {f"fact_{n}": 1 for n in range(9)}
    with pytest.raises(ConversionFailed, match=r"\(and 4 more\)"):
        prove(data)


@pytest.mark.parametrize(
    ("was", "is_now"),
    [
        ({"language": "und"}, {}),
        ({"creation_time": "2016-05-31 17:01:35"}, {"creation_time": "2016-05-31T17:01:35.000000Z"}),
        ({"location": "+40.680-074.500/"}, {"location": "+40.6800-074.5000/", "location-eng": "+40.6800-074.5000/"}),
        ({"encoder-eng": "vlc"}, {"encoder": "Lavf"}),
        ({"Comment": "x"}, {"COMMENT": "x"}),
    ],
)
def test_the_same_said_in_another_way_is_no_loss(was, is_now):
    """Containers and muxers write one fact in several forms."""
    before, after = film_json(), result_json()
    before["format"]["tags"], after["format"]["tags"] = was, is_now
    prove(after, before=Probe.from_dict(before))


def test_another_place_on_earth_is_a_loss():
    """Numbers are compared, not waved through."""
    before, after = film_json(), result_json()
    before["format"]["tags"], after["format"]["tags"] = (
        {"location": "+40.680-074.500/"},
        {"location": "+40.681-074.500/"},
    )
    with pytest.raises(ConversionFailed, match="location"):
        prove(after, before=Probe.from_dict(before))


def test_default_is_taken_from_the_other_tracks_when_the_new_one_is_to_have_it():
    """Asked for, that is no loss; not done, it is one."""
    data = result_json()
    mark_default(data)
    settings = StereoSettings(default_track=True)
    with pytest.raises(ConversionFailed, match="stream 1: its dispositions"):
        prove(data, settings=settings)
    data["streams"][1]["disposition"]["default"] = 0
    prove(data, settings=settings)


def test_mp4_enables_one_track_of_a_kind_and_that_is_no_loss():
    """MP4's "default" is "enabled": its muxer sets it on one where the film has none."""
    before, after = film_json(), result_json()
    for data in (before, after):
        data["format"]["format_name"] = "mov,mp4,m4a,3gp,3g2,mj2"
    gain_default(after)
    with pytest.raises(ConversionFailed, match="stream 2"):
        prove(after, before=Probe.from_dict(before))
    prove(after, before=Probe.from_dict(before), plan=replace(PLAN, muxer="mp4"))


def test_what_is_lost_is_named():
    """FFmpeg writes no creation_time for a Matroska track: that refuses no film, and is no secret."""
    before = film_json()
    before["streams"][1]["tags"]["CREATION_TIME"] = "2016-05-31T17:01:35.000000Z"
    probed = Probe.from_dict(before)
    prove(result_json(), before=probed)
    assert list(proof.lost(probed, PLAN)) == ["the tag creation_time of stream 1"]
    assert list(proof.lost(probed, replace(PLAN, lost=(2,), lost_tags=("x",)))) == [
        "the tag creation_time of stream 1",
        "stream 2 (subtitle subrip)",
        "the tag x",
    ]


def test_every_tolerated_field_has_its_reason():
    """The tables are for a person to read."""
    assert all({**proof.TOLERATED, **proof.TOLERATED_TAGS}.values())
