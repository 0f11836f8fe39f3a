"""When a file counts as finished, told without a disk or a clock."""

from dataclasses import replace

from watcher.rules import stability
from watcher.rules.signature import Signature
from watcher.rules.stability import Observation, Settling, Waiting

SIGNATURE = Signature(1, 2, 3, 4, 5)
WAITING = Waiting(stable_wait_sec=60, settle_sec=2)
QUIET = Settling(SIGNATURE, quiet_since=1000)
FREE = Observation(SIGNATURE, "free", "lease")
WHOLE = replace(FREE, end_is_there=True)


def test_a_file_without_evidence_waits_the_whole_time_and_not_longer():
    assert not stability.readiness(QUIET, FREE, WAITING, 1059.9).ready
    assert stability.readiness(QUIET, FREE, WAITING, 1060).ready


def test_a_wait_says_until_when():
    found = stability.readiness(QUIET, FREE, WAITING, 1010)
    assert found.look_again_at == 1060


def test_a_closed_file_whose_end_is_in_place_goes_through_after_the_settle_time():
    closed = replace(QUIET, evidence="closed")
    assert not stability.readiness(closed, WHOLE, WAITING, 1001.9).ready
    assert stability.readiness(closed, WHOLE, WAITING, 1002).ready


def test_strong_evidence_is_not_enough_without_the_end_in_place_or_with_an_unknown_writer():
    closed = replace(QUIET, evidence="closed")
    assert not stability.readiness(closed, FREE, WAITING, 1030).ready
    assert not stability.readiness(closed, replace(WHOLE, end_is_there=False), WAITING, 1030).ready
    assert not stability.readiness(closed, replace(WHOLE, writer="unknown"), WAITING, 1030).ready


def test_a_downloader_that_gave_a_file_its_final_name_stands_for_an_end_that_cannot_be_told():
    """As in a transport stream; an end that is seen to be missing is believed more than any name."""
    finished = replace(QUIET, evidence="finished")
    assert stability.readiness(finished, FREE, WAITING, 1002).ready
    assert not stability.readiness(finished, replace(WHOLE, end_is_there=False), WAITING, 1030).ready
    assert not stability.readiness(finished, replace(FREE, writer="unknown"), WAITING, 1030).ready


def test_a_writer_keeps_a_file_waiting_however_long_it_has_been_quiet():
    found = stability.readiness(QUIET, replace(WHOLE, writer="busy"), WAITING, 99_999)
    assert not found.ready
    assert "open for writing" in found.why
    assert found.look_again_at is not None
    assert found.look_again_at > 99_999


def test_a_writer_that_paused_longer_than_we_waited_makes_us_wait_twice_its_longest_pause():
    slow = replace(QUIET, longest_gap_sec=90, evidence="closed")
    assert not stability.readiness(slow, WHOLE, WAITING, 1179).ready
    assert stability.readiness(slow, WHOLE, WAITING, 1180).ready


def test_only_a_pause_counts_as_one_not_a_film_replaced_a_year_later():
    assert stability.gap_after(1000, 1090, 0) == 90
    assert stability.gap_after(1000, 1000 + 365 * 86400, 0) == 0
    assert stability.gap_after(1000, 1030, 90) == 90


def test_a_clock_set_back_makes_the_wait_begin_anew_and_not_last_for_ever():
    found = stability.readiness(QUIET, FREE, WAITING, 400)
    assert not found.ready
    assert found.look_again_at == 460
