"""media/space: what a conversion needs beside its film."""

import os

import pytest

from watcher.errors import ConversionFailed
from watcher.media import space


def test_too_little_space_is_said_in_numbers(tmp_path):
    """What is free, and what is needed."""
    with pytest.raises(ConversionFailed, match=r"MB are free in .*, 1000000000000 MB are needed") as failed:
        space.require_space(os.fsencode(tmp_path), 10**18)
    assert failed.value.reason == "no_space"
    space.require_space(os.fsencode(tmp_path), 1)


def test_the_space_needed_is_the_film_its_track_twice_and_a_margin():
    """The track by its length and bitrate: two hours at 192 kbit/s are 173 MB, however small the film is; it stands in
    the result, and in a file of its own until that is proved.
    """
    assert space.free_space_needed(10**9, 7200, 192) == 1_345_600_000 + space.MARGIN_BYTES
    assert space.free_space_needed(0, 0, 192) == space.MARGIN_BYTES


def test_of_a_film_of_unknown_length_the_track_is_a_tenth_at_most():
    """Surround sound alone has twice that."""
    assert space.free_space_needed(10**9, None, 192) == 1_200_000_000 + space.MARGIN_BYTES
