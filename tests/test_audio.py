"""Which track people can hear, which one it is made from, and why a film is left alone: a table of stories."""

import json

import pytest

from watcher.rules.audio import AudioRules, Decision, Stream, decide

PICTURE = Stream(0, "video", "h264")


def track(index, language="eng", channels=6, title="", *dispositions, codec="ac3"):
    return Stream(
        index, "audio", codec, language=language, title=title, channels=channels, dispositions=frozenset(dispositions)
    )


MAKE, HAS, IGNORED = "make", "has_stereo", "ignored"

STORIES = [
    ("English 5.1 gets a track", [track(1)], MAKE, "english_surround", 1),
    ("English stereo is enough", [track(1, "eng", 2)], HAS, "english_stereo", 1),
    ("stereo beside 5.1 is enough", [track(1), track(2, "eng", 2)], HAS, "english_stereo", 2),
    ("en is English", [track(1, "en", 2)], HAS, "english_stereo", 1),
    ("en-US is English", [track(1, "en-US", 2)], HAS, "english_stereo", 1),
    ("en_GB is English", [track(1, "en_GB", 2)], HAS, "english_stereo", 1),
    ("ENG is English", [track(1, "ENG", 2)], HAS, "english_stereo", 1),
    ("english is English", [track(1, "english", 2)], HAS, "english_stereo", 1),
    ("enm, Middle English, is not", [track(1, "enm", 2)], IGNORED, "no_english", None),
    ("und with a telling title", [track(1, "und", 6, "English 5.1"), track(2, "ger")], MAKE, "english_surround", 1),
    ("no tag with a telling title", [track(1, "", 2, "ENG stereo"), track(2, "ger")], HAS, "english_stereo", 1),
    ("Bengali is not English", [track(1, "und", 2, "Bengali"), track(2, "ger")], IGNORED, "no_english", None),
    ("a tag beats a telling title", [track(1, "ger", 2, "English")], IGNORED, "no_english", None),
    ("two untagged tracks say nothing", [track(1, "", 2), track(2, "", 6)], IGNORED, "no_english", None),
    ("commentary in stereo is not counted", [track(1), track(2, "eng", 2, "", "comment")], MAKE, "english_surround", 1),
    ("nor by its title", [track(1), track(2, "eng", 2, "Director's commentary")], MAKE, "english_surround", 1),
    (
        "the cast is not the film",
        [track(1), track(2, "eng", 2, "With the director and cast")],
        MAKE,
        "english_surround",
        1,
    ),
    ("a director's cut is the film", [track(1, "eng", 2, "Director's Cut")], HAS, "english_stereo", 1),
    ("commentary is never a source", [track(1, "eng", 6, "Commentary"), track(2, "ger")], IGNORED, "no_english", None),
    ("a description is set aside", [track(1), track(2, "eng", 2, "", "descriptions")], MAKE, "english_surround", 1),
    ("so by its title", [track(1), track(2, "eng", 2, "Descriptive Audio")], MAKE, "english_surround", 1),
    (
        "visual_impaired is set aside",
        [track(1), track(2, "eng", 2, "", "visual_impaired")],
        MAKE,
        "english_surround",
        1,
    ),
    (
        "hearing_impaired is set aside",
        [track(1), track(2, "eng", 2, "", "hearing_impaired")],
        MAKE,
        "english_surround",
        1,
    ),
    ("so by its title", [track(1), track(2, "eng", 2, "Hearing impaired")], MAKE, "english_surround", 1),
    ("music alone has no dialogue", [track(1), track(2, "eng", 2, "Isolated score")], MAKE, "english_surround", 1),
    ("English mono is left alone", [track(1, "eng", 1)], IGNORED, "english_mono_only", None),
    ("mono beside German 5.1 too", [track(1, "ger"), track(2, "eng", 1)], IGNORED, "english_mono_only", None),
    ("2.1 is a source", [track(1, "eng", 3)], MAKE, "english_surround", 1),
    ("7.1 goes before 5.1", [track(1), track(2, "eng", 8, "", codec="truehd")], MAKE, "english_surround", 2),
    ("of equals, the default one", [track(1), track(2, "eng", 6, "", "default")], MAKE, "english_surround", 2),
    ("of equals, the first", [track(1), track(2)], MAKE, "english_surround", 1),
    ("German default, English second", [track(1, "ger", 6, "", "default"), track(2)], MAKE, "english_surround", 2),
    ("German stereo does not help", [track(1, "ger", 2), track(2)], MAKE, "english_surround", 2),
    ("a codec without a name is no source", [track(1, "eng", 0, codec="")], IGNORED, "english_unreadable", None),
    ("no sound", [], IGNORED, "no_audio", None),
    ("no English", [track(1, "ger"), track(2, "fre", 2)], IGNORED, "no_english", None),
]


@pytest.mark.parametrize(
    ("tracks", "outcome", "reason", "index"), [s[1:] for s in STORIES], ids=[s[0] for s in STORIES]
)
def test_story(tracks, outcome, reason, index):
    """Each row is a film: what it has, what is decided, why, and the stream that matters."""
    decision = decide([PICTURE, *tracks], AudioRules())
    assert (decision.outcome, decision.reason) == (outcome, reason)
    assert (decision.stereo if outcome == HAS else decision.source) == index
    assert decision.sentence


@pytest.mark.parametrize("language", ["", "und"])
def test_a_single_untagged_track_is_english_only_where_the_rules_say_so(language):
    """The setting `untagged_is_english` speaks of films with one sound track."""
    film = [PICTURE, track(1, language)]
    assert decide(film, AudioRules()).reason == "no_english"
    assert decide(film, AudioRules(untagged_is_english=True)).source == 1
    assert decide([*film, track(2, language)], AudioRules(untagged_is_english=True)).reason == "no_english"


@pytest.mark.parametrize("cover", [(), (Stream(0, "video", "mjpeg", dispositions=frozenset({"attached_pic"})),)])
def test_a_file_without_moving_picture_is_no_film_even_with_cover_art(cover):
    """Cover art is a video stream to ffprobe."""
    assert decide([*cover, track(1, "eng", 2)], AudioRules()).reason == "no_video"
    assert decide(cover, AudioRules()).reason == "no_video"


def test_a_decision_survives_being_stored():
    """What is written as JSON reads back as the same value, also with the keys of a newer version."""
    decision = decide([PICTURE, track(1)], AudioRules())
    stored = json.loads(json.dumps(decision.to_dict()))
    assert Decision.from_dict({**stored, "loudness": "keep"}) == decision


def test_the_sentence_names_the_stream_and_its_title():
    """A person reads which track was chosen."""
    sentence = decide([PICTURE, track(1, "eng", 6, "Main")], AudioRules()).sentence
    assert sentence == 'English stereo is made from stream 1 (ac3, 6 channels, "Main")'
