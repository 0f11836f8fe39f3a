"""A film that rests is taken up again when today's settings decide about it differently, and only then."""

import json

import pytest

from watcher.config import StateConfig
from watcher.rules.statuses import IntegrityStatus as I
from watcher.rules.statuses import ProcessedStatus as P
from watcher.service import second_thoughts
from watcher.service.conversions import Conversions


def probe(*languages):
    """A probe's stored form: a picture, and one surround track for each language."""
    streams = [{"index": 0, "codec_type": "video", "codec_name": "h264"}]
    for index, language in enumerate(languages, 1):
        tags = {"language": language} if language else {}
        streams.append({"index": index, "codec_type": "audio", "codec_name": "ac3", "channels": 6, "tags": tags})
    return {"format": {"format_name": "matroska,webm"}, "streams": streams}


@pytest.fixture
def library(bench):
    """A German film, one without a language, and one with English sound whose conversion was refused."""
    for name, languages in (("german.mkv", ["ger"]), ("untagged.mkv", [""]), ("refused.mkv", ["eng"])):
        bench.write(name, name.encode())
        bench.see(name)
        bench.engine.move(bench.entry(name), "check_started", next_at=None)
        bench.engine.move(bench.entry(name), "check_passed", next_at=0)
        bench.store.put_finding(bench.entry(name).id, probe=probe(*languages))
    with bench.engine.turn():
        for name in ("german.mkv", "untagged.mkv"):
            Conversions(bench.engine).begin(bench.entry(name))
    bench.engine.move(bench.entry("refused.mkv"), "conversion_failed", reason="unsupported_streams", next_at=None)
    assert second_thoughts.reconsider(bench.engine) == 1, "nothing was known of the settings so far"
    bench.engine.move(bench.entry("refused.mkv"), "conversion_failed", reason="unsupported_streams", next_at=None)
    return bench


def start(bench, **audio):
    """The next start of the service, with these settings."""
    bench.engine.config = StateConfig(audio=audio)
    return second_thoughts.reconsider(bench.engine)


def processed(bench):
    return {name: bench.entry(f"{name}.mkv").processed_status for name in ("german", "untagged", "refused")}


def test_nothing_is_taken_up_while_the_settings_are_the_same(library):
    before = processed(library)
    assert before == {"german": P.IGNORED, "untagged": P.IGNORED, "refused": P.CONVERT_FAILED}
    assert start(library) == 0
    assert start(library, at_once=2, threads=4) == 0
    assert processed(library) == before


def test_a_language_more_takes_up_the_films_that_speak_it(library):
    assert start(library, languages=["eng", "deu"]) == 2  # and what was refused, which may be possible now
    assert processed(library) == {"german": P.NEW, "untagged": P.IGNORED, "refused": P.NEW}
    assert library.entry("german.mkv").next_check_at_ms == library.engine.now_ms()
    assert library.journal("german.mkv")[-1] == "reconsidered"
    assert library.journal("untagged.mkv")[-1] == "ignored"


def test_a_film_without_a_language_is_taken_up_when_it_may_be_english(library):
    start(library, untagged_is_english=True)
    assert processed(library)["untagged"] is P.NEW
    assert processed(library)["german"] is P.IGNORED


def test_what_is_no_film_rests_whatever_the_settings(bench):
    bench.write("no film.mkv")
    bench.see("no film.mkv")
    bench.engine.move(bench.entry("no film.mkv"), "check_started", next_at=None)
    bench.engine.move(bench.entry("no film.mkv"), "check_failed", reason="not_media", next_at=None)
    bench.engine.move(bench.entry("no film.mkv"), "ignored", reason="not_media", next_at=None)
    assert start(bench, untagged_is_english=True) == 0
    entry = bench.entry("no film.mkv")
    assert (entry.integrity_status, entry.processed_status) == (I.INCOMPLETE, P.IGNORED)


def test_the_settings_are_remembered_in_words_that_can_be_compared(library):
    start(library, languages=["eng", "deu"])
    assert json.loads(library.store.memo("audio settings"))["languages"] == ["eng", "deu"]
