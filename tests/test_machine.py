"""The tables of moves are the code, and what they do not hold is illegal."""

import pytest

from watcher.errors import IllegalMove
from watcher.rules import machine
from watcher.rules.statuses import IntegrityStatus as I
from watcher.rules.statuses import ProcessedStatus as P

LEGAL = {
    I.UNKNOWN: {"check_started", "content_changed", "released"},
    I.PENDING: {
        "check_passed", "check_failed", "check_undecided", "lease_expired", "check_cancelled", "content_changed", "released",
    },
    I.COMPLETE: {"check_started", "content_changed", "released"},
    I.INCOMPLETE: {"check_started", "gave_up", "content_changed", "released"},
    I.ERROR: {"check_started", "content_changed", "released"},
    I.QUARANTINED: {"content_changed", "released"},
    P.NEW: {
        "has_stereo", "converted", "conversion_failed", "ignored", "waits_for_pair", "is_duplicate", "content_changed",
    },
    P.SKIPPED_HAS_EN2: {"group_finished", "reconsidered", "content_changed"},
    P.CONVERTED: {"waits_for_pair", "group_finished", "content_changed"},
    P.CONVERT_FAILED: {"retry", "ignored", "content_changed"},
    P.GROUP_PENDING_PAIR: {"pair_lost", "group_finished", "content_changed"},
    P.GROUP_PROCESSED: {"group_reopened", "content_changed"},
    P.IGNORED: {"group_finished", "reconsidered", "content_changed"},
    P.DUPLICATE: {"becomes_original", "content_changed"},
}  # fmt: skip


@pytest.mark.parametrize("status", LEGAL, ids=lambda status: status.name)
def test_each_status_allows_just_the_moves_of_the_design(status):
    assert set(machine.moves_from(status)) == LEGAL[status]


@pytest.mark.parametrize("status", LEGAL, ids=lambda status: status.name)
def test_a_move_that_is_not_listed_raises_and_one_that_is_leads_where_the_table_says(status):
    rows = machine.INTEGRITY_MOVES if isinstance(status, I) else machine.PROCESSED_MOVES
    for move, sources, target in rows:
        if status in sources:
            assert machine.after(status, move) is target
        else:
            with pytest.raises(IllegalMove):
                machine.after(status, move)


def test_an_illegal_move_names_the_file_the_status_the_move_and_what_would_be_legal():
    with pytest.raises(IllegalMove, match=r"a\.mkv: UNKNOWN cannot take the move 'check_passed'; legal.*check_started"):
        machine.after(I.UNKNOWN, "check_passed", "a.mkv")


def test_a_move_of_the_other_table_is_illegal():
    with pytest.raises(IllegalMove):
        machine.after(P.NEW, "check_started")


def test_the_picture_holds_every_move_of_the_table():
    for kind, rows in ((I, machine.INTEGRITY_MOVES), (P, machine.PROCESSED_MOVES)):
        picture = machine.to_mermaid(kind)
        for move, sources, target in rows:
            if len(sources) == len(list(kind)):
                assert f"{target.name}: {move} leads here from every status" in picture
            else:
                assert all(f"{source.name} --> {target.name}: {move}\n" in picture for source in sources)
