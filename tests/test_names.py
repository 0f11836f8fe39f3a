"""What is a film by its name, why a name is not, and names written for people and for JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.errors import SettingsError
from watcher.rules import names
from watcher.rules.names import NameRules, from_json, is_film, readable, to_json, why_not

ALL = NameRules()
PATHS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"a",
                b".",
                b".mkv",
                b".MKV",
                b".part",
                b".Temp",
                b".temp",
                b"~",
                b"/",
                b"@eaDir",
                b".Trash-1",
                b"film",
                b"1080p",
            ]
        ),
        st.binary(min_size=1, max_size=3).filter(lambda raw: b"\0" not in raw),
    ),
    min_size=1,
    max_size=8,
).map(b"".join)


@pytest.mark.parametrize(
    "path",
    [
        b"Film.mkv",
        b"FILM.MKV",
        b"a/b/c/Film (2012).mp4",
        b"\xff\xfe odd \n name.avi",
        b"-rf 100%.mkv",
        b"Film.1080p.m2ts",
        b"Film.part1.mkv",
        b"Spare Parts.mkv",
        b"Film.stereo.mkv",
        b"Recycle/Film.mkv",
    ],
)
def test_a_film_is_known_by_its_extension_whatever_else_its_name_holds(path):
    assert is_film(path, ALL)
    assert why_not(path, ALL) is None


@pytest.mark.parametrize(
    ("path", "word"),
    [
        (b"Film.mkv.part", "unfinished"),
        (b"Film.mkv.!qB", "unfinished"),
        (b"Film.mkv.crdownload", "unfinished"),
        (b"Film.mkv.aria2", "unfinished"),
        (b"Film.mkv.PARTIAL", "unfinished"),
        (b"Film.mkv~", "unfinished"),
        (b"Film.temp.mkv", "unfinished"),
        (b"Film.PART.MP4", "unfinished"),
        (b"Film.incomplete.mkv", "unfinished"),
        (b".Film.mkv.Xa81bc", "dot"),
        (b"._Film.mkv", "dot"),
        (b".mkv", "dot"),
        (b"Film", "no extension"),
        (b"Film.srt", ".srt is not"),
        (b"a/@eaDir/Film.mkv", "@eaDir"),
        (b"#recycle/Film.mkv", "#recycle"),
        (b"a/.Trash-1000/files/Film.mkv", ".Trash-1000"),
        (b".stfolder/Film.mkv", ".stfolder"),
        (b"_UNPACK_Film/Film.mkv", "_UNPACK_Film"),
        (b"lost+found/Film.mkv", "lost+found"),
    ],
)
def test_what_is_no_film_is_so_for_a_reason_that_can_be_told(path, word):
    assert not is_film(path, ALL)
    assert word in why_not(path, ALL)


@given(
    PATHS, st.sampled_from([ALL, NameRules(exclude=(b"*film*",)), NameRules(include=(b"a/**",), exclude=(b"film/",))])
)
def test_the_quick_answer_and_the_one_in_words_never_differ(path, rules):
    assert is_film(path, rules) == (why_not(path, rules) is None)


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        (b"*sample*", b"a/Film.Sample.mkv", True),
        (b"*sample*", b"Samples/Film.mkv", True),
        (b"Extras/", b"a/extras/Film.mkv", True),
        (b"Extras/", b"a/Extras.mkv", False),
        (b"Extras", b"a/Extrasensory/Film.mkv", False),
        (b"/Extras", b"a/Extras/Film.mkv", False),
        (b"/Extras", b"Extras/Film.mkv", True),
        (b"a/*.mkv", b"a/Film.mkv", True),
        (b"a/*.mkv", b"a/b/Film.mkv", False),
        (b"a/**/Film.mkv", b"a/Film.mkv", True),
        (b"a/**/Film.mkv", b"a/b/c/Film.mkv", True),
        (b"**/b/**", b"a/b/Film.mkv", True),
        (b"Film.[am][vk]?", b"Film.mkv", True),
        (b"Film.[!m]*", b"Film.mkv", False),
        (b"[Film.mkv", b"[Film.mkv", True),
        (b"[Film].mkv", b"F.mkv", True),
        ("Zoë*".encode(), "Zoe\u0308 (2019).mkv".encode(), True),
        (b"Zo?.mkv", "Zoë.mkv".encode(), True),
        (b"*\xff*", b"odd\xff.mkv", True),
        (b"Film.mkv", b"Film_mkv.mkv", False),
    ],
)
def test_patterns_mean_what_they_mean_in_a_gitignore(pattern, path, matches):
    assert is_film(path, NameRules(exclude=(pattern,))) is not matches
    assert is_film(path, NameRules(include=(pattern,))) is matches


def test_a_pattern_that_is_none_is_refused_by_name():
    with pytest.raises(SettingsError, match=r"\[z-a\]"):
        NameRules(exclude=(b"ok", b"[z-a]"))
    with pytest.raises(SettingsError, match="empty"):
        NameRules(include=(b"/",))


def test_the_pattern_that_excludes_is_named():
    assert "Extras/" in why_not(b"Extras/Film.mkv", NameRules(exclude=(b"*sample*", b"Extras/")))
    assert "no include pattern" in why_not(b"Film.mkv", NameRules(include=(b"Series/",)))


def test_an_excluded_folder_is_known_before_it_is_entered():
    rules = NameRules(exclude=(b"Backups/", b"a/b"))
    assert names.folder_excluded(b"x/backups", rules)
    assert names.folder_excluded(b"a/b", rules)
    assert not names.folder_excluded(b"a", rules)
    assert not names.folder_excluded(b"a", ALL)


def test_other_extensions_and_sizes_can_be_asked_for():
    rules = NameRules(extensions=frozenset({b".m3u8"}), min_size_bytes=10)
    assert is_film(b"Film.M3U8", rules)
    assert not is_film(b"Film.mkv", rules)
    assert names.too_small(9, rules)
    assert not names.too_small(10, rules)


def test_aria2_keeps_its_state_beside_the_file():
    assert names.unfinished_sibling(b"Film.mkv") == b"Film.mkv.aria2"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"Film.mkv", "Film.mkv"),
        ("Zoë – 映画 👩\u200d👩.mkv".encode(), "Zoë – 映画 👩\u200d👩.mkv"),
        (b"two\nlines\t.mkv", r"two\nlines\t.mkv"),
        (b"\x1b[31mred\x7f", r"\x1b[31mred\x7f"),
        (b"\xff\xc3(", r"\xff\xc3("),
        ("vkm.\u202eexe\u2028".encode(), r"vkm.\u202eexe\u2028"),
        (b"\xc2\x9b31m", r"\x9b31m"),
    ],
)
def test_a_name_for_people_is_one_harmless_line(path, text):
    assert readable(path) == text


@given(st.binary())
def test_no_name_breaks_a_log_line_or_a_terminal(path):
    text = readable(path)
    assert len(text.splitlines()) <= 1
    assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 or 0xD800 <= ord(char) < 0xE000 for char in text)


@given(
    st.one_of(st.binary(), st.text().map(lambda text: text.encode("utf-8", "surrogatepass")), st.just(b"\\xff\xff\\"))
)
def test_every_name_comes_back_from_json_as_it_was(path):
    text, escaped = json.loads(json.dumps(to_json(path)))
    assert from_json(text, escaped) == path


def test_only_names_that_are_not_utf_8_are_marked():
    assert to_json("Zoë\\n.mkv".encode()) == ("Zoë\\n.mkv", False)
    assert to_json(b"Zo\xeb\\n.mkv") == (r"Zo\xeb\\n.mkv", True)
    with pytest.raises(ValueError, match="escape"):
        from_json(r"Zo\q", escaped=True)
