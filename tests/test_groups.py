"""Which files are one film."""

from watcher.rules import groups
from watcher.rules.groups import Member


def test_a_film_its_stereo_sibling_and_its_other_container_share_a_stem():
    for name in (b"Film.mkv", b"Film.mp4", b"Film.stereo.mkv", b"Film.STEREO.avi"):
        assert groups.stem_of(name) == b"Film"


def test_dots_and_odd_names_are_part_of_the_stem():
    assert groups.stem_of(b"A.B.2020.mkv") == b"A.B.2020"
    assert groups.stem_of(b".stereo.mkv") == b".stereo"
    assert groups.stem_of(b"noextension") == b"noextension"
    assert groups.stem_of(b"caf\xe9.mkv") == b"caf\xe9"


def test_the_first_seen_is_the_original_and_the_next_takes_its_place_when_it_is_gone():
    first, second = Member(1, b"Film.mkv"), Member(2, b"Film.mp4")
    assert groups.original_of(2, [first, second]) == 1
    assert groups.original_of(2, [Member(1, b"Film.mkv", missing=True), second]) == 2


def test_a_stereo_sibling_and_what_we_made_are_never_originals():
    members = [Member(1, b"Film.stereo.mkv"), Member(2, b"Film.mkv", made_by_us=True), Member(3, b"Film.avi")]
    assert groups.original_of(3, members) == 3
