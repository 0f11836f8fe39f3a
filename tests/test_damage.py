"""tests/damage: the variants are what they say, so that a verdict about them can be wrong or right."""

import clips
import damage
import pytest


def made(kind, folder):
    return {variant.name: path.read_bytes() for variant, path in damage.variants(clips.path(kind), folder)}


@pytest.mark.parametrize("kind", ["mp4", "fragmented", "mkv", "ts", "avi"])
def test_every_variant_differs_from_its_film_and_none_is_left(tmp_path, kind):
    """Sizes tell most of it: only cuts make a film shorter, only what is appended makes it longer."""
    film = clips.content(kind)
    found = made(kind, tmp_path)
    assert film not in found.values()
    assert {name for name, content in found.items() if len(content) < len(film)} == {
        name for name in found if name.startswith("cut-")
    }
    assert {name for name, content in found.items() if len(content) > len(film)} == {"junk-after", "zeros-after"}
    assert not list(tmp_path.iterdir())


def test_some_ways_are_those_of_one_container(tmp_path):
    """An index, fragments, packets and Cues are not to be had everywhere."""
    names = {kind: set(made(kind, tmp_path)) for kind in ("mp4", "fragmented", "mkv", "ts")}
    special = {"no-index", "cut-fragment", "no-cues", "cut-packet"}
    assert names["mp4"] & special == {"no-index"}
    assert names["fragmented"] & special == {"no-index", "cut-fragment"}
    assert names["mkv"] & special == {"no-cues"}
    assert names["ts"] & special == {"cut-packet"}


def test_the_same_seed_makes_the_same_damage(tmp_path):
    """A miss can be looked at again."""
    assert made("mkv", tmp_path) == made("mkv", tmp_path)


def test_voided_cues_leave_every_other_byte(tmp_path):
    """Only the element's head is written over, and its length reaches to the same place."""
    film, voided = clips.content("mkv"), made("mkv", tmp_path)["no-cues"]
    changed = [at for at, (one, other) in enumerate(zip(film, voided, strict=True)) if one != other]
    at = film.rindex(b"\x1c\x53\xbb\x6b")
    assert changed
    assert at <= changed[0] <= changed[-1] < at + 9
