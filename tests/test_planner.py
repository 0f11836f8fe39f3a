"""One due entry, one look, one action."""

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from watcher.rules import planner
from watcher.rules.planner import Due
from watcher.rules.signature import Signature
from watcher.rules.stability import Observation, Settling, Waiting
from watcher.rules.statuses import IntegrityStatus as I
from watcher.rules.statuses import ProcessedStatus as P

SIGNATURE = Signature(1, 2, 3, 4, 5)
WAITING = Waiting(60, 2)
NOW = 10_000.0
DUE = Due(I.UNKNOWN, P.NEW, Settling(SIGNATURE, quiet_since=0), has_probe=False)
SEEN = Observation(SIGNATURE, "free", "lease")


def plan(due=DUE, seen=SEEN):
    return planner.plan(due, seen, WAITING, NOW)


def test_a_quiet_file_is_checked():
    assert isinstance(plan(), planner.Check)


def test_a_file_that_grew_is_not_checked():
    assert isinstance(plan(seen=Observation(replace(SIGNATURE, size_bytes=9), "free")), planner.Changed)


def test_a_preallocated_file_that_is_filled_counts_as_changing_by_its_blocks():
    filled = Observation(replace(SIGNATURE, blocks=99), "free")
    assert isinstance(plan(seen=filled), planner.Changed)
    assert isinstance(plan(replace(DUE, integrity=I.INCOMPLETE), filled), planner.Changed)


def test_late_allocation_and_a_new_device_number_are_no_news_about_a_judged_file():
    seen = Observation(replace(SIGNATURE, blocks=99, device=77))
    due = replace(DUE, integrity=I.COMPLETE, processed=P.CONVERTED)
    assert isinstance(plan(due, seen), planner.Rest)


def test_a_file_that_is_gone_is_gone_whatever_its_status():
    for integrity in I:
        assert isinstance(plan(replace(DUE, integrity=integrity), Observation(None)), planner.Gone)


def test_trouble_with_looking_concludes_nothing_and_looks_again():
    action = plan(seen=Observation(None, trouble="permission denied"))
    assert isinstance(action, planner.Wait)
    assert action.until > NOW


def test_a_check_that_nobody_runs_is_given_back():
    assert isinstance(plan(replace(DUE, integrity=I.PENDING)), planner.LeaseExpired)


def test_a_whole_new_film_is_converted_and_one_without_a_probe_checked_again():
    whole = replace(DUE, integrity=I.COMPLETE, has_probe=True)
    assert isinstance(plan(whole), planner.Convert)
    assert isinstance(plan(replace(whole, has_probe=False)), planner.Check)


def test_a_failed_conversion_whose_time_has_come_is_new_again():
    assert isinstance(plan(replace(DUE, integrity=I.COMPLETE, processed=P.CONVERT_FAILED)), planner.Retry)


def test_an_incomplete_file_that_somebody_writes_is_waited_for():
    due = replace(DUE, integrity=I.INCOMPLETE)
    assert isinstance(plan(due, replace(SEEN, writer="busy")), planner.Wait)
    assert isinstance(plan(due), planner.Check)


@given(
    st.sampled_from(list(I)), st.sampled_from(list(P)), st.sampled_from(["busy", "free", "unknown"]),
    st.floats(0, 2 * NOW), st.floats(0, 7200), st.sampled_from(["", "closed", "moved_in"]), st.booleans(),
)  # fmt: skip
def test_whatever_the_row_a_wait_ends_in_the_future(integrity, processed, writer, quiet_since, gap, evidence, whole):
    """A row that stays due starves the batch."""
    settling = Settling(SIGNATURE, quiet_since, evidence, gap)
    due = Due(integrity, processed, settling, has_probe=True)
    action = planner.plan(due, Observation(SIGNATURE, writer, "lease", whole), WAITING, NOW)
    if isinstance(action, planner.Wait):
        assert NOW < action.until < math.inf


def test_backoff_doubles_to_its_maximum():
    waits = [planner.backoff_sec(n, 30, 600, 0) for n in range(1, 8)]
    assert waits == [30, 60, 120, 240, 480, 600, 600]


@given(st.integers(1, 10**9), st.floats(0, 1))
def test_backoff_never_leaves_its_bounds(times, jitter):
    assert 30 <= planner.backoff_sec(times, 30, 600, jitter) <= 660.0001
