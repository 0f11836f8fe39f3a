"""media/layout: which container, which streams in which order, and what is refused rather than lost. Pure."""

import pytest
from plans import MKV, MP4, film, plan_of

from watcher.errors import ConversionFailed
from watcher.media import layout
from watcher.media.downmix import StereoSettings
from watcher.rules.audio import Decision, Stream

TIME_CODE = Stream(2, "data", "", raw={"codec_tag_string": "tmcd", "nb_frames": "1"})
CHAPTER_TRACK = Stream(2, "data", "bin_data", raw={"codec_tag_string": "text", "nb_frames": "1"})
VP9, VORBIS = Stream(0, "video", "vp9"), Stream(1, "audio", "vorbis", "eng", channels=6)
OTHERS = {"avi": "avi", "asf": "wmv", "flv": "flv", "mpegts": "ts", "mpeg": "mpg"}


@pytest.mark.parametrize(
    ("format_name", "brand", "name", "muxer", "target"),
    [
        (MKV, None, b"/f/Film.mkv", "matroska", b"/f/Film.mkv"),
        (MKV, None, b"/f/Film.MK3D", "matroska", b"/f/Film.MK3D"),
        (MKV, None, b"/f/Film.WebM", "matroska", b"/f/Film.stereo.mkv"),
        (MP4, "isom", b"/f/Film.mp4", "mp4", b"/f/Film.mp4"),
        (MP4, "M4V ", b"/f/Film.m4v", "mp4", b"/f/Film.m4v"),
        (MP4, "qt  ", b"/f/Film.mov", "mov", b"/f/Film.mov"),
        (MP4, None, b"/f/Film.mov", "mov", b"/f/Film.mov"),
        (MP4, "3gp5", b"/f/Film.3gp", "matroska", b"/f/Film.stereo.mkv"),
        (MP4, "isom", b"/f/wrongly.mkv", "mp4", b"/f/wrongly.mkv"),
        ("avi", None, b"/f/A.B.avi", "matroska", b"/f/A.B.stereo.mkv"),
        ("asf", None, b"/f/Film.wmv", "matroska", b"/f/Film.stereo.mkv"),
        ("flv", None, b"/f/Film.flv", "matroska", b"/f/Film.stereo.mkv"),
        ("mpegts", None, b"/f/Film", "matroska", b"/f/Film.stereo.mkv"),
        ("mpeg", None, b"/f/\xff.mpg", "matroska", b"/f/\xff.stereo.mkv"),
    ],
)
def test_where_the_track_goes(format_name, brand, name, muxer, target):
    """Matroska, MP4 and QuickTime keep their container, whatever the name says; the others get a sidecar."""
    plan = plan_of(film(format_name=format_name, tags={"major_brand": brand} if brand else {}), name)
    assert (plan.muxer, plan.target, plan.sidecar) == (muxer, target, target != name)


def test_webm_stays_webm_and_gets_an_opus_track():
    """It may hold neither AAC nor fonts; what calls itself WebM and is not is left alone."""
    plan = plan_of(film(first=(VP9, VORBIS)), b"/f/Film.webm")
    assert (plan.muxer, plan.codec, plan.target) == ("webm", "opus", b"/f/Film.webm")
    assert plan_of(film(Stream(2, "attachment", "ttf"), first=(VP9, VORBIS)), b"/f/Film.webm").sidecar
    assert plan_of(film(), b"/f/Film.mkv").codec == "aac"


@pytest.mark.parametrize(
    ("format_name", "brand", "name", "target"),
    [
        (MKV, None, b"/f/Film.mkv", b"/f/Film.stereo.mkv"),
        (MP4, "isom", b"/f/Film.m4v", b"/f/Film.stereo.m4v"),
        (MP4, "qt  ", b"/f/Film.MOV", b"/f/Film.stereo.MOV"),
        ("avi", None, b"/f/Film.avi", b"/f/Film.stereo.mkv"),
    ],
)
def test_every_film_gets_a_sidecar_where_the_film_is_to_be_left_alone(format_name, brand, name, target):
    """In its own container where that takes the track, with the picture, the subtitles and their fonts."""
    more = [Stream(2, "audio", "mp3"), Stream(3, "subtitle", "ass"), Stream(4, "attachment", "ttf")]
    plan = plan_of(
        film(*more, format_name=format_name, tags={"major_brand": brand} if brand else {}), name, output="sidecar"
    )
    assert (plan.target, plan.sidecar, plan.foreign) == (target, True, format_name == "avi")
    assert plan.mapped == ((0, 3, 4) if plan.muxer == "matroska" else (0, 3))
    assert plan.made_at == 1


@pytest.mark.parametrize(("format_name", "ending"), OTHERS.items())
def test_what_cannot_take_the_track_becomes_matroska_where_asked_for(format_name, ending):
    """All of it, under the name of its new container; it is no sidecar."""
    more = [Stream(2, "audio", "mp2", "ger"), Stream(3, "subtitle", "dvb_subtitle")]
    plan = plan_of(film(*more, format_name=format_name), b"/f/A.Film." + ending.encode(), remux=True)
    assert (plan.target, plan.muxer, plan.sidecar, plan.foreign) == (b"/f/A.Film.mkv", "matroska", False, True)
    assert (plan.mapped, plan.made_at, plan.left_out) == ((0, 1, 2, 3), 3, ())


def test_becoming_matroska_is_for_films_that_cannot_take_the_track_alone():
    """MP4 takes it, and a sidecar leaves every film alone."""
    mp4 = film(format_name=MP4, tags={"major_brand": "isom"})
    assert plan_of(mp4, b"/f/Film.mp4", remux=True).target == b"/f/Film.mp4"
    assert plan_of(film(format_name="avi"), b"/f/F.avi", remux=True, output="sidecar").target == b"/f/F.stereo.mkv"


def test_mp4_keeps_its_cover_by_copying_and_leaves_its_chapter_track_to_the_muxer():
    """The chapter text track mapped would double the chapters; the cover stays an attached picture."""
    cover = Stream(3, "video", "mjpeg", dispositions=frozenset({"attached_pic"}))
    probe = film(CHAPTER_TRACK, cover, format_name=MP4, tags={"major_brand": "isom"}, chapters=({"id": 0},))
    plan = plan_of(probe)
    assert (plan.mapped, plan.copied(), plan.left_out) == ((0, 1), (0, 1, 3), (2,))
    anew = Stream(3, "data", "bin_data", raw={"codec_tag_string": "text"})
    result = film(Stream(2, "audio", "aac"), anew, Stream(4, "video", "mjpeg"))
    assert [s.index for s in plan.in_result(result)] == [0, 1, 2, 4]
    assert plan.places() == ((0, 0), (1, 1), (3, 3))


@pytest.mark.parametrize(("brand", "mapped", "anew"), [("qt  ", (0, 1, 2), ()), ("isom", (0, 1), (2,))])
def test_a_time_code_is_copied_to_mov_and_made_anew_in_mp4(brand, mapped, anew):
    """MP4's muxer writes it behind the tracks and before the covers; its packet is compared like any other."""
    cover = Stream(3, "video", "mjpeg", dispositions=frozenset({"attached_pic"}))
    plan = plan_of(film(TIME_CODE, cover, format_name=MP4, tags={"major_brand": brand}))
    assert (plan.mapped, plan.anew, plan.covers) == (mapped, anew, (3,))
    assert plan.places() == ((0, 0), (1, 1), (2, 3), (3, 4))
    assert plan.output(3) == (4 if brand == "qt  " else 3)


@pytest.mark.parametrize(
    "stream",
    [
        Stream(2, "data", "bin_data", raw={"codec_tag_string": "mebx"}),
        Stream(2, "data", "bin_data", raw={"codec_tag_string": "text", "nb_frames": "7"}),
        Stream(2, "subtitle", ""),
        Stream(2, "video", ""),
    ],
)
@pytest.mark.parametrize("format_name", [MKV, MP4])
def test_what_could_not_be_kept_is_refused_by_name_or_lost_where_allowed(stream, format_name):
    """Data and streams of unknown kind; a film that is lost a stream says so."""
    probe = film(stream, format_name=format_name, chapters=({"id": 0},))
    with pytest.raises(ConversionFailed, match=r"unsupported_streams.*\b2 \(") as failed:
        plan_of(probe)
    assert failed.value.reason == "unsupported_streams"
    plan = plan_of(probe, allow_data_loss=True)
    assert (plan.mapped, plan.lost, plan.left_out) == ((0, 1), (2,), ())


@pytest.mark.parametrize("stream", [Stream(2, "subtitle", "dvb_teletext"), Stream(2, "data", "scte_35")])
def test_what_matroska_cannot_hold_of_a_broadcast_is_refused_by_name(stream):
    """A film that becomes Matroska loses nothing unsaid either."""
    with pytest.raises(ConversionFailed, match=stream.codec):
        plan_of(film(stream, format_name="mpegts"), b"/f/Film.ts", remux=True)
    assert plan_of(film(stream, format_name="mpegts"), b"/f/Film.ts").left_out == (1, 2)


def test_mp4_keeps_a_cover_or_tags_of_other_kinds_but_ffmpeg_writes_not_both():
    """The cover goes iTunes' way and such tags QuickTime's: refused, or the tags are lost where that is allowed."""
    cover = Stream(2, "video", "mjpeg", dispositions=frozenset({"attached_pic"}))
    tags = {"major_brand": "isom", "title": "T", "iTunMOVI": "x", "timecode": "01:00:00:00"}
    assert plan_of(film(format_name=MP4, tags=tags)).lost_tags == ()
    with pytest.raises(ConversionFailed, match="cover and the tags iTunMOVI"):
        plan_of(film(cover, format_name=MP4, tags=tags))
    plan = plan_of(film(cover, format_name=MP4, tags=tags), allow_data_loss=True)
    assert (plan.covers, plan.lost_tags) == ((2,), ("iTunMOVI",))
    assert plan_of(film(cover, tags=tags)).lost_tags == ()


def test_an_attachment_of_unknown_kind_is_kept():
    """Matroska attaches any file."""
    assert plan_of(film(Stream(2, "attachment", ""))).mapped == (0, 1, 2)


def test_a_sidecar_takes_picture_new_track_and_the_subtitles_that_matroska_knows():
    """The film itself keeps the rest."""
    more = [Stream(2, "audio", "mp3"), Stream(3, "subtitle", "dvb_subtitle"), Stream(4, "subtitle", "dvb_teletext")]
    plan = plan_of(film(*more, format_name="mpegts"), b"/f/Film.ts")
    assert (plan.mapped, plan.made_at, plan.left_out) == ((0, 3), 1, (1, 2, 4))
    assert plan.places() == ((0, 0), (3, 2))


def test_a_name_without_room_for_the_suffix_is_refused():
    """255 bytes are the most that a name may have."""
    assert plan_of(film(format_name="avi"), b"/f/" + b"x" * 244 + b".avi").sidecar
    with pytest.raises(ConversionFailed) as failed:
        plan_of(film(format_name="avi"), b"/f/" + b"x" * 245 + b".avi")
    assert failed.value.reason == "name_too_long"
    assert plan_of(film(format_name="avi"), b"/f/" + b"x" * 251 + b".avi", remux=True).foreign


def test_a_decision_without_a_source_is_refused():
    """Only a decision to make a track can be planned."""
    with pytest.raises(ConversionFailed, match="no_source"):
        layout.plan(film(), Decision("ignored", "no_english", ""), b"/f/Film.mkv", StereoSettings())


@pytest.mark.parametrize(
    ("format_name", "brand", "code"), [(MKV, None, "ger"), (MP4, "isom", "deu"), ("avi", None, "ger")]
)
def test_the_new_track_bears_the_language_decided_on(format_name, brand, code):
    """Matroska stores the bibliographic code, MP4 the terminological one; the title is for people."""
    probe = film(format_name=format_name, tags={"major_brand": brand} if brand else {})
    plan = layout.plan(
        probe, Decision("make", "german_surround", "", source=1, language="deu"), b"/f/Film.xxx", StereoSettings()
    )
    assert (plan.language, plan.title) == (code, "German 2.0")


def test_the_new_track_may_go_first_among_the_sound():
    """Pictures stay before it, and every other track keeps its order."""
    plan = plan_of(film(Stream(2, "audio", "aac", "ger"), Stream(3, "subtitle", "ass")), position="first")
    assert (plan.mapped, plan.made_at) == ((0, 1, 2, 3), 1)
    assert plan.places() == ((0, 0), (1, 2), (2, 3), (3, 4))
