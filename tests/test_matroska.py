"""media/containers/matroska: what a film holds and FFmpeg neither shows nor copies is found in the file itself."""

import os

import films
import pytest

from watcher.media.containers import matroska

EBML, SEGMENT, INFO, TRACKS, CHAPTERS, CLUSTER = (
    "1A45DFA3",
    "18538067",
    "1549A966",
    "1654AE6B",
    "1043A770",
    "1F43B675",
)
EDITION, ATOM, DISPLAY, TRACK, VIDEO = "45B9", "B6", "80", "AE", "E0"


def element(ident, *content):
    body = b"".join(content)
    return bytes.fromhex(ident) + (0x10000000 | len(body)).to_bytes(4, "big") + body


def edition(*more):
    return element(EDITION, element(ATOM, element("91", b"\0"), element(DISPLAY, b"")), *more)


def named(film, *elements):
    film.write_bytes(element(EBML) + element(SEGMENT, *elements, element(CLUSTER)))
    return matroska.not_shown(os.fsencode(film))


@pytest.mark.parametrize(
    ("held", "told"),
    [
        (element(CHAPTERS, edition()), ()),
        (element(CHAPTERS, edition(), edition()), ("2 editions",)),
        (
            element(CHAPTERS, edition(element("45DD", b"\1"))),
            ("an edition that plays its chapters in an order of their own",),
        ),
        (element(CHAPTERS, edition(element("45DD", b"\0"))), ()),
        (element(CHAPTERS, element(EDITION, element(ATOM, element(ATOM)))), ("chapters within chapters",)),
        (
            element(CHAPTERS, element(EDITION, element(ATOM, element(DISPLAY), element(DISPLAY)))),
            ("chapters named in several languages",),
        ),
        (
            element(CHAPTERS, element(EDITION, element(ATOM, element("6E67", b"x" * 16)))),
            ("chapters that stand in another file",),
        ),
        (element(CHAPTERS, element(EDITION, element(ATOM, element("6944")))), ("commands of a disc's menu",)),
        (
            element(INFO, element("3CB923", b"x" * 16), element("3EB923", b"y" * 16)),
            ("a link to the file before", "a link to the file after"),
        ),
        (element(INFO, element("73A4", b"x" * 16)), ()),
        (
            element(TRACKS, element(TRACK, element("D7", b"\1"), element(VIDEO, element("54BB", b"\x8c")))),
            ("a crop of the picture of track 1",),
        ),
        (element(TRACKS, element(TRACK, element("D7", b"\1"), element(VIDEO, element("54BB", b"\0")))), ()),
    ],
)
def test_each_of_what_would_be_lost_is_named(tmp_path, held, told):
    """By the numbers of Matroska's specification."""
    assert named(tmp_path / "film.mkv", held) == told


def test_what_stands_behind_the_pictures_is_found_through_the_index(tmp_path):
    """Chapters may stand at the end of the file."""
    film = tmp_path / "film.mkv"
    chapters, cluster = element(CHAPTERS, edition(), edition()), element(CLUSTER, bytes(100))

    def seek_head(place):
        return element("114D9B74", element("4DBB", element("53AB", bytes.fromhex(CHAPTERS)), element("53AC", place)))

    place = len(seek_head(bytes(4))) + len(cluster)
    film.write_bytes(element(EBML) + element(SEGMENT, seek_head(place.to_bytes(4, "big")), cluster, chapters))
    assert matroska.not_shown(os.fsencode(film)) == ("2 editions",)


@pytest.mark.parametrize("container", ["mkv", "mp4"])
def test_a_film_with_everything_that_ffmpeg_writes_hides_nothing(tmp_path, container):
    """No false alarm; and what is no Matroska has none of it."""
    everything = {**films.kinds["everything"], "font": container == "mkv"}
    assert matroska.not_shown(os.fsencode(films.film(tmp_path / f"film.{container}", **everything))) == ()


def test_no_content_makes_it_fail(tmp_path):
    """Cut anywhere, it names less."""
    film = tmp_path / "film.mkv"
    named(film, element(CHAPTERS, edition(), edition()))
    content = film.read_bytes()
    for end in range(len(content)):
        film.write_bytes(content[:end])
        matroska.not_shown(os.fsencode(film))
