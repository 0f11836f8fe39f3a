"""media/probe: what a film holds, as a value."""

import json

import clips
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.errors import ProbeFailed
from watcher.media import probe
from watcher.media.probe import Probe


def described(*streams, **info):
    """Give ffprobe's JSON for a film with these streams."""
    return probe.parse(json.dumps({"format": {"format_name": "x", **info}, "streams": streams}).encode())


async def test_a_film_is_described_and_read_back_equal(ours, tmp_path):
    """Streams, tags, dispositions, chapters and durations; to_dict is JSON and gives the same Probe again."""
    chapters = tmp_path / "chapters"
    chapters.write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=900\ntitle=One\n")
    film = tmp_path / "film.mkv"
    clips.ffmpeg(
        *("-i", str(clips.path("mkv")), "-i", str(chapters), "-map", "0", "-map_metadata", "1", "-c", "copy"),
        *(
            "-metadata:s:a:0",
            "language=eng",
            "-metadata:s:a:0",
            "title=Director",
            "-disposition:a:0",
            "comment",
            str(film),
        ),
    )
    found = await probe.probe(ours, bytes(film))
    video, audio = found.streams
    assert (video.kind, video.codec, audio.kind, audio.codec) == ("video", "h264", "audio", "ac3")
    assert (audio.language, audio.title, audio.channels, audio.sample_rate) == ("eng", "Director", 1, 44100)
    assert audio.dispositions == {"comment"}
    assert found.chapters[0]["tags"]["title"] == "One"
    assert found.duration_sec == pytest.approx(2, abs=0.1)
    assert video.duration_sec == pytest.approx(2, abs=0.1)
    assert found.size_bytes == film.stat().st_size
    assert Probe.from_dict(json.loads(json.dumps(found.to_dict()))) == found


async def test_a_bad_file_raises_with_ffprobes_words(ours, tmp_path):
    """Not there, or no film: the reason is told."""
    with pytest.raises(ProbeFailed, match="No such file"):
        await probe.probe(ours, b"/no/such/film.mkv")
    text = tmp_path / "text.mkv"
    text.write_text("no film")
    with pytest.raises(ProbeFailed, match="Invalid data"):
        await probe.probe(ours, bytes(text))


@pytest.mark.parametrize(
    "name", [b"-i.mkv", b"http:x.mkv", b"pipe:0.mkv", b"%03d.mkv", b"caf\xe9.mkv", b"a\nb'\".mkv", b"file:a.mkv"]
)
async def test_a_name_of_any_bytes_is_found(ours, tmp_path, name):
    """Options, protocols, patterns and bytes that are no UTF-8 are names like others."""
    with open(bytes(tmp_path) + b"/" + name, "wb") as file:
        file.write(clips.content("mkv"))
    assert (await probe.probe(ours, bytes(tmp_path) + b"/" + name)).streams


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{0}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {0}\n",
    ],
)
async def test_a_playlist_under_a_films_name_opens_nothing_else(ours, tmp_path, text):
    """FFmpeg 5 follows a playlist into other local files: here the format is refused."""
    trap = tmp_path / "trap.mkv"
    trap.write_text(text.format(clips.path("ts")))
    with pytest.raises(ProbeFailed):
        await probe.probe(ours, bytes(trap))


def test_a_title_of_mp4_is_its_handler_name_unless_a_muxer_wrote_it():
    """MP4 keeps no title for a track."""
    for handler, title in {
        "SoundHandler": "",
        "Commentary": "Commentary",
        "Core Media Audio": "",
        "Stereo": "",
    }.items():
        assert described({"codec_type": "audio", "tags": {"handler_name": handler}}).streams[0].title == title
    both = described({"codec_type": "audio", "tags": {"handler_name": "x", "title": "Main"}})
    assert both.streams[0].title == "Main"


def test_ogg_and_matroska_tags_are_read_whatever_their_case():
    """Ogg writes LANGUAGE, and Matroska keeps a stream's duration in a tag."""
    stream = described({"codec_type": "audio", "tags": {"LANGUAGE": "eng", "DURATION": "00:01:02.500000000"}}).streams[
        0
    ]
    assert (stream.language, stream.duration_sec) == ("eng", 62.5)


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b"null", b'{"streams": []}', b'{"format": 3}', b"[" * 100_000])
def test_what_is_no_answer_is_a_failed_probe(answer):
    """Whatever ffprobe prints, one kind of error comes out."""
    with pytest.raises(ProbeFailed):
        probe.parse(answer)


def test_more_streams_than_a_film_has_are_refused():
    """A file of 10,000 streams is an attack on memory."""
    with pytest.raises(ProbeFailed, match="201 streams"):
        described(*[{"codec_type": "audio"}] * 201)


def test_tags_of_any_bytes_can_be_stored():
    """Broken UTF-8 and lone surrogates become replacement characters that every encoder takes."""
    raw = b'{"format": {"format_name": "x", "tags": {"t\xff": "a\xfe\\ud800b"}}, "streams": []}'
    found = probe.parse(raw)
    json.dumps(found.to_dict(), ensure_ascii=False).encode()
    assert list(found.tags.values()) == ["a\ufffd?b"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
KEYS = ("index", "codec_type", "codec_name", "channels", "tags", "disposition", "duration", "sample_rate")


@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, JSON)) | JSON, max_size=4), JSON)
def test_no_answer_however_odd_raises_anything_else(streams, duration):
    """Every JSON is a Probe or a ProbeFailed."""
    described(*streams, duration=duration)
