"""Which track people can hear, which one it is made from, and why a film is left alone: a table of stories."""

import json

import pytest

from watcher.rules import languages
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
    (
        "nor a wrong tag with one",
        [track(1, "ger", 6, "English 5.1"), track(2, "eng", 6, "Deutsch")],
        MAKE,
        "english_surround",
        2,
    ),
    ("a word in capitals may be a code", [track(1, "", 6, "5.1 (ENG)")], MAKE, "english_surround", 1),
    ("several languages in one tag: the title", [track(1, "mul", 6, "English")], MAKE, "english_surround", 1),
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
    (
        "Dolby Atmos goes before its core",
        [track(1, "eng", 6, "Dolby Digital 5.1"), track(2, "eng", 8, "TrueHD Atmos 7.1", codec="truehd")],
        MAKE,
        "english_surround",
        2,
    ),
    ("Atmos in E-AC-3 counts six", [track(1, "eng", 6, "Dolby Atmos", codec="eac3")], MAKE, "english_surround", 1),
    ("descriptive mono is no mono", [track(1), track(2, "eng", 1, "AD", "descriptions")], MAKE, "english_surround", 1),
    ("commentary alone in stereo", [track(1, "eng", 2, "Kommentar")], IGNORED, "no_english", None),
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


GERMAN, BOTH, ENGLISH_FIRST = ("deu",), ("de", "en"), ("eng", "ger")
ELSEWHERE = [
    ("any code of the language will do", GERMAN, [track(1, "ger")], MAKE, "german_surround", 1),
    ("so will a country's", GERMAN, [track(1, "de-CH", 2)], HAS, "german_stereo", 1),
    ("English is nothing then", GERMAN, [track(1, "eng", 2)], IGNORED, "no_german", None),
    ("its own name in a title", GERMAN, [track(1, "und", 6, "Deutsch 5.1"), track(2)], MAKE, "german_surround", 1),
    ("its code in capitals", GERMAN, [track(1, "", 6, "GER DTS"), track(2)], MAKE, "german_surround", 1),
    ("its mono", GERMAN, [track(1, "ger", 1), track(2)], IGNORED, "german_mono_only", None),
    ("its description", GERMAN, [track(1, "ger"), track(2, "ger", 2, "Hörfilm")], MAKE, "german_surround", 1),
    ("a first name is no code", ("dan",), [track(1, "", 6, "as Dan heard it")], IGNORED, "no_danish", None),
    ("the first language wins", BOTH, [track(1, "eng", 2), track(2, "deu")], MAKE, "german_surround", 2),
    ("also in the other order", ENGLISH_FIRST, [track(1, "eng"), track(2, "deu", 2)], MAKE, "english_surround", 1),
    ("the second where there is no first", BOTH, [track(1, "fre", 2), track(2, "eng")], MAKE, "english_surround", 2),
    ("a first that is commentary", BOTH, [track(1, "ger", 2, "", "comment"), track(2)], MAKE, "english_surround", 2),
    ("neither", BOTH, [track(1, "fre", 2)], IGNORED, "no_german_or_english", None),
    ("a variety is the language", ("zho",), [track(1, "cmn", 2)], HAS, "chinese_stereo", 1),
]


@pytest.mark.parametrize(
    ("languages", "tracks", "outcome", "reason", "index"), [s[1:] for s in ELSEWHERE], ids=[s[0] for s in ELSEWHERE]
)
def test_story_in_other_languages(languages, tracks, outcome, reason, index):
    """The same rule with other languages named; the decision says which of them it is about."""
    decision = decide([PICTURE, *tracks], AudioRules(languages))
    assert (decision.outcome, decision.reason) == (outcome, reason)
    assert (decision.stereo if outcome == HAS else decision.source) == index
    if outcome != IGNORED:
        assert decision.language == {"german": "deu", "english": "eng", "chinese": "zho"}[reason.split("_")[0]]


def test_an_untagged_track_is_trusted_to_speak_the_first_language():
    """The setting is as old as its name, and goes with the language that is wanted most."""
    assert decide([PICTURE, track(1, "")], AudioRules(BOTH, untagged_is_english=True)).reason == "german_surround"


def test_no_tag_means_two_languages():
    """Every code and name of the table leads to one language, and the codes are as long as their standards say."""
    tags = [(tag, language.code) for language in set(languages.known().values()) for tag in language.tags]
    assert len(tags) == len(dict(tags)) == len(languages.known())
    assert all(len(one.code) == len(one.bibliographic) == 3 for one in languages.known().values())


@pytest.mark.parametrize(
    ("title", "ours"), [("English 2.0", 1), ("German 2.0", 1), ("Deutsch 2.0", 0), ("Take 2.0", 0)]
)
def test_the_titles_we_give_are_known_again(title, ours):
    """What a film held before us is told from what we added."""
    assert languages.is_made_title(title) == ours


@pytest.mark.parametrize("language", ["", "und"])
def test_a_single_untagged_track_is_english_only_where_the_rules_say_so(language):
    """The setting `untagged_is_english` speaks of films with one sound track."""
    film = [PICTURE, track(1, language)]
    assert decide(film, AudioRules()).reason == "no_english"
    assert "untagged_is_english = true takes it for English" in decide(film, AudioRules()).sentence
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
