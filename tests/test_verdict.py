"""rules/verdict and what is reckoned for it: every number a person asks for, and the sentence."""

import pytest

from watcher.media.evidence import reckoned
from watcher.rules.statuses import IntegrityStatus, Mode, Reason
from watcher.rules.verdict import Verdict

MINUTES_43 = 2580.0
GIGABYTE = 10**9


def verdict(reason, **values):
    return Verdict(IntegrityStatus.INCOMPLETE, Mode.QUICK, reason, **values)


def test_a_cut_is_told_in_minutes_and_bytes():
    """What is there is reckoned from the bytes; where the header wanted the end is left to the evidence."""
    found = reckoned(
        verdict(
            Reason.TRUNCATED,
            declared_sec=MINUTES_43,
            missing_bytes=12_000_000,
            first_damage_byte=288_000_000,
            evidence=("structure: its segment should end at byte 300,000,000",),
        ),
        288_000_000,
    )
    assert found.readable_sec == pytest.approx(MINUTES_43 * 288 / 300)
    assert found.first_damage_sec == pytest.approx(found.readable_sec)
    assert found.sentence() == "cut: 41.3 of 43.0 minutes are there (12.0 MB missing at the end)"
    assert found.left_out() == found.evidence


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "cut"),
        ({"evidence": ("structure: there is no moov",)}, "cut: structure: there is no moov"),
        ({"missing_bytes": 500}, "cut: 500 bytes missing at the end"),
        ({"declared_sec": 10.0, "readable_sec": 4.0}, "cut: 4.0 of 10.0 seconds are there"),
    ],
)
def test_a_cut_says_what_is_known(values, sentence):
    """An MP4 without its index tells neither seconds nor bytes."""
    assert verdict(Reason.TRUNCATED, **values).sentence() == sentence


def test_zeros_have_their_place_in_seconds_too():
    """Reckoned from the byte; what is missing is missing from the seconds."""
    found = reckoned(
        verdict(Reason.ZEROS, declared_sec=7200.0, missing_bytes=GIGABYTE, first_damage_byte=2 * GIGABYTE),
        4 * GIGABYTE,
    )
    assert (found.readable_sec, found.first_damage_sec) == (5400.0, 3600.0)
    assert found.sentence() == (
        "parts are zeros that were never filled: 90.0 of 120.0 minutes are there, 1.0 GB missing, from about 1:00:00 on"
    )


def test_damage_has_its_place_in_bytes_too():
    """A decoder tells about the second; and how far it came says nothing, since decoders go on behind damage."""
    found = reckoned(
        verdict(
            Reason.DAMAGED, declared_sec=100.0, readable_sec=100.0, first_damage_sec=25.0, evidence=("decode: a", "b")
        ),
        1000,
    )
    assert found.first_damage_byte == 250
    assert found.sentence() == "damaged: from about 25.0 s on, decode: a"
    assert found.left_out() == ("b",)


def test_nothing_is_reckoned_without_a_length():
    """Nor for a whole film, nor for an error."""
    for found in (
        verdict(Reason.DAMAGED, first_damage_byte=5),
        Verdict(IntegrityStatus.COMPLETE, Mode.FULL, declared_sec=5.0, readable_sec=5.0),
        Verdict(IntegrityStatus.ERROR, Mode.FULL, Reason.TIMEOUT, declared_sec=5.0),
    ):
        assert reckoned(found, 1000) == found
    assert verdict(Reason.DAMAGED, first_damage_byte=5).sentence() == "damaged: from byte 5 on"
