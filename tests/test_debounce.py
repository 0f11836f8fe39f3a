"""Many hints, one due path: waits with both ends, and a memory with an end."""

from hypothesis import given
from hypothesis import strategies as st

from watcher.rules.debounce import Debouncer, HintKind

QUIET, AT_MOST = 2.0, 10.0
FILE_KINDS = [HintKind.CREATED, HintKind.CLOSED, HintKind.MOVED_IN, HintKind.DELETED]
STEPS = st.lists(
    st.tuples(
        st.floats(min_value=0, max_value=4),
        st.integers(1, 2),
        st.sampled_from([b"a/1.mkv", b"a/2.mkv", b"b/3.mkv", b"4.mkv"]),
        st.sampled_from(FILE_KINDS),
    ),
    max_size=60,
)


def debouncer(max_entries=1000):
    return Debouncer(QUIET, AT_MOST, max_entries)


def test_a_path_is_due_when_it_has_been_quiet_and_once_only():
    waiting = debouncer()
    waiting.hint(1, b"a.mkv", HintKind.CREATED, 100)
    waiting.hint(1, b"a.mkv", HintKind.CLOSED, 101)
    assert waiting.due(102.9) == []
    assert waiting.next_deadline() == 103
    (due,) = waiting.due(103)
    assert (due.root_id, due.rel_path, due.first_at, due.last_at) == (1, b"a.mkv", 100, 101)
    assert due.kinds == HintKind.CREATED | HintKind.CLOSED
    assert waiting.due(1000) == []
    assert waiting.next_deadline() is None


def test_a_path_that_is_never_quiet_is_due_after_the_longest_wait():
    waiting = debouncer()
    looked_at = []
    for tick in range(30):
        waiting.hint(1, b"growing.mkv", HintKind.CLOSED, float(tick))
        looked_at += [tick for _ in waiting.due(float(tick))]
    assert looked_at == [10, 21]


def test_the_same_name_in_two_roots_waits_twice():
    waiting = debouncer()
    waiting.hint(1, b"a.mkv", HintKind.CREATED, 0)
    waiting.hint(2, b"a.mkv", HintKind.DELETED, 0)
    assert {(due.root_id, due.kinds) for due in waiting.due(2)} == {(1, HintKind.CREATED), (2, HintKind.DELETED)}


def test_an_overflow_is_about_the_whole_root():
    waiting = debouncer()
    waiting.hint(1, b"whatever", HintKind.OVERFLOW, 0)
    waiting.hint(1, b"", HintKind.SCAN_ROOT, 0)
    (due,) = waiting.due(2)
    assert due.rel_path == b""
    assert due.kinds == HintKind.OVERFLOW | HintKind.SCAN_ROOT


def test_a_clock_read_out_of_order_changes_nothing():
    waiting = debouncer()
    waiting.hint(1, b"a.mkv", HintKind.CREATED, 10)
    waiting.hint(1, b"b.mkv", HintKind.CREATED, 9)
    assert {due.rel_path for due in waiting.due(12)} == {b"a.mkv", b"b.mkv"}


@given(STEPS)
def test_every_hint_is_answered_once_in_time_whatever_the_order(steps):
    """Looked at whenever a deadline says so: due at the last hint's quiet time, or the first one's longest wait."""
    waiting = debouncer()
    open_waits = {}
    now = 0.0

    def answer(until):
        while (deadline := waiting.next_deadline()) is not None and deadline <= until:
            found = waiting.due(deadline)
            assert found, "a deadline at which nothing is due would be a busy loop"
            for due in found:
                first, last, kinds = open_waits.pop((due.root_id, due.rel_path))
                assert deadline == min(last + QUIET, first + AT_MOST)
                assert (due.first_at, due.last_at, due.kinds) == (first, last, kinds)

    for pause, root, path, kind in steps:
        now += pause
        answer(now)
        first, _, kinds = open_waits.get((root, path), (now, now, HintKind(0)))
        open_waits[root, path] = (first, now, kinds | kind)
        waiting.hint(root, path, kind, now)
        assert len(waiting) == len(open_waits)
    answer(now + AT_MOST)
    assert not open_waits
    assert len(waiting) == 0


@given(
    st.lists(st.tuples(st.integers(1, 2), st.integers(0, 40), st.integers(0, 9)), max_size=300),
    st.integers(1, 30),
)
def test_beyond_its_memory_it_knows_less_and_loses_nothing(hints, max_entries):
    """Each hinted path is due itself, or its folder is, or its root; and the memory keeps its bound."""
    waiting = debouncer(max_entries)
    for root, folder, name in hints:
        waiting.hint(root, b"d%d/s/%d.mkv" % (folder, name), HintKind.CREATED, 0)
        assert len(waiting) <= max_entries + max(1, max_entries // 10) + 2
    due = {(each.root_id, each.rel_path): each.kinds for each in waiting.due(QUIET)}
    assert len(waiting) == 0
    for root, folder, name in hints:
        path, parent = b"d%d/s/%d.mkv" % (folder, name), b"d%d/s" % folder
        assert (
            (root, path) in due
            or HintKind.FOLDER in due.get((root, parent), HintKind(0))
            or HintKind.SCAN_ROOT in due.get((root, b""), HintKind(0))
        )


def test_folders_are_folded_too_when_there_are_too_many():
    waiting = debouncer(20)
    for number in range(50):
        waiting.hint(1, b"d%d" % number, HintKind.DELETED | HintKind.FOLDER, 0)
    due = waiting.due(QUIET)
    assert [each.rel_path for each in due if HintKind.FOLDER in each.kinds] == [b"d0", b"d1"]
    assert [each.rel_path for each in due if HintKind.SCAN_ROOT in each.kinds] == [b""]


def test_the_memory_is_free_again_when_the_storm_is_over():
    waiting = debouncer(2)
    for number in range(10):
        waiting.hint(1, b"a/%d.mkv" % number, HintKind.CREATED, 0)
    waiting.due(QUIET)
    waiting.hint(1, b"a/x.mkv", HintKind.CREATED, 5)
    assert [due.rel_path for due in waiting.due(7)] == [b"a/x.mkv"]
