"""media/passed: the same packets at the same times give the same account, and any other give another. Pure."""

import pytest

from watcher.media.passed import Account

HASH = b"0" * 32


def lines(unit, *packets, at=0):
    """Give framehash's lines of one stream: (dts, pts, duration) each, in the unit given."""
    yield b"#format: frame checksums\n"
    yield b"#tb %d: %s\n" % (at, unit)
    yield b"#media_type %d: video\n" % at
    for dts, pts, duration in packets:
        yield b"%d, %10d, %10d, %8d, %8d, %s\n" % (at, dts, pts, duration, 100, HASH)


def passed(given, muxer="mp4", **how):
    account = Account(muxer, 1, foreign=[0] if how.pop("foreign", False) else [], **how)
    assert all(account.take(line) for line in given)
    return account.passed()[0]


PACKETS = [(0, 1024, 512), (512, 2048, 512), (1024, 1536, 512)]


def test_the_same_times_in_another_unit_are_the_same():
    """512/12800 s are 40/1000 s; and all may move alike."""
    other = [(a // 512 * 40 + 7, b // 512 * 40 + 7, 40) for a, b, _ in PACKETS]
    one, two = passed(lines(b"1/12800", *PACKETS)), passed(lines(b"1/1000", *other))
    assert (one.packets, one.content, one.times) == (two.packets, two.content, two.times)
    assert (one.first_sec, two.first_sec) == (0.08, 0.087)


@pytest.mark.parametrize(
    ("change", "muxer"),
    [
        ((0, (0, 1024, 512)), "mp4"),
        ((1, (512, 2049, 512)), "mp4"),
        ((1, (513, 2048, 512)), "mp4"),
        ((2, (1024, 1549, 512)), "matroska"),
    ],
)
def test_another_time_of_one_packet_is_found(change, muxer):
    """MP4 stores both times of each to the tick, Matroska the one it is shown at to the millisecond."""
    place, packet = change
    others = [*PACKETS[:place], packet, *PACKETS[place + 1 :]]
    same = packet == PACKETS[place]
    assert (passed(lines(b"1/12800", *others), muxer) == passed(lines(b"1/12800", *PACKETS), muxer)) is same


def test_two_packets_that_change_places_are_found():
    """Their times are the same, their order is not."""
    swapped = [PACKETS[0], PACKETS[2], PACKETS[1]]
    assert passed(lines(b"1/1000", *swapped), "matroska") != passed(lines(b"1/1000", *PACKETS), "matroska")


def test_times_are_rounded_as_matroska_stores_them():
    """1001/24000 s a picture becomes whole milliseconds, and negative times are rounded away from nought."""
    packets = [(n, n, 1) for n in range(-3, 100)]
    stored = [(0, int(n * 1001 / 24 + (0.5 if n > 0 else -0.5)), 1) for n in range(-3, 100)]
    was, now = passed(lines(b"1001/24000", *packets), "matroska"), passed(lines(b"1/1000", *stored), "matroska")
    assert was.times == now.times
    assert was.first_sec == -0.125


def test_other_content_and_other_side_data_are_found():
    """Side data counts where the container stays the same; a broadcast has some that only it knows."""
    plain = list(lines(b"1/1000", *PACKETS))
    with_side = [*plain[:-1], plain[-1].rstrip() + b", S=1,        8, " + b"1" * 32 + b"\n"]
    assert passed(with_side).content != passed(plain).content
    assert passed(with_side, foreign=True).content == passed(plain, foreign=True).content
    other = [line.replace(HASH, b"2" * 32) for line in plain]
    assert passed(other, foreign=True).content != passed(plain, foreign=True).content


def test_only_what_lasts_has_an_end_worth_a_comparison_and_a_cover_has_no_time():
    """A subtitle's length is stored, that of a picture is worked out."""
    longer = [*PACKETS[:-1], (1024, 1536, 900)]
    assert passed(lines(b"1/1000", *longer)) == passed(lines(b"1/1000", *PACKETS))
    assert passed(lines(b"1/1000", *longer), lasting=[0]) != passed(lines(b"1/1000", *PACKETS), lasting=[0])
    assert passed(lines(b"1/1000", (0, 5, 1)), untimed=[0]).times == 0


def test_what_is_no_line_of_packets_is_left_to_others():
    """Reports of progress stand between."""
    assert not Account("mp4", 1).take(b"out_time_us=1\n")
    assert Account("mp4", 1).passed()[0].packets == 0
