"""The new track, made by the real FFmpeg: in which language, by which codec, at which place, and what is measured of it."""

import films
import pytest
from films import Audio

from watcher.rules.audio import AudioRules, decide

TWO_LANGUAGES = (Audio("eng", 6, "Main", "default"), Audio("ger", 6, "Deutsch"))


@pytest.mark.parametrize(("container", "code"), [("mkv", "ger"), ("mp4", "deu")])
async def test_a_track_in_another_language_bears_its_name(convert, tmp_path, container, code):
    """The code is the one of the container, and the rule that asked for the track finds it there."""
    film = films.film(tmp_path / f"film.{container}", seconds=1, audio=TWO_LANGUAGES)
    done = await convert(film, languages=("de",))
    assert (done.made.language, done.made.title, done.proof.made["from"]) == (code, "German 2.0", 2)
    assert decide(done.after.streams, AudioRules(("de",))).stereo == done.made.index
    assert decide(done.after.streams, AudioRules()).outcome == "make"


@pytest.mark.parametrize(
    ("container", "codec", "given"),
    [
        ("mkv", "ac3", "ac3"),
        ("mkv", "opus", "opus"),
        ("mp4", "ac3", "ac3"),
        ("mp4", "opus", "aac"),
        ("mov", "ac3", "ac3"),
    ],
)
async def test_the_track_has_the_codec_that_was_asked_for(convert, tmp_path, container, codec, given):
    """It is proved like any other, and as long as its source."""
    done = await convert(films.film(tmp_path / f"film.{container}", seconds=1), codec=codec)
    assert (done.made.codec, done.made.channels, done.proof.made["codec"]) == (given, 2, given)
    assert abs(done.proof.made["seconds"] - 1) < 0.1


@pytest.mark.parametrize("container", ["mkv", "mp4"])
async def test_the_track_may_stand_first(convert, tmp_path, container):
    """The others follow in their order, and the one that was the default stays it."""
    done = await convert(films.film(tmp_path / f"film.{container}", seconds=1, audio=TWO_LANGUAGES), position="first")
    assert [s.title for s in done.after.streams if s.kind == "audio"] == ["English 2.0", "Main", "Deutsch"]
    assert [s.title for s in done.after.streams if s.kind == "audio" and "default" in s.dispositions] == ["Main"]
