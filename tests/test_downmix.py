"""media/downmix: every layout that FFmpeg knows becomes stereo in which each channel stands where it should."""

import array
import functools
import re
import subprocess

import pytest

from watcher.media import downmix
from watcher.media.downmix import StereoSettings
from watcher.rules.audio import Stream

HALF, BASS = 0.7071, {"LFE", "LFE2"}


@functools.cache
def layouts():
    """Give FFmpeg's own list: the layout's name and its channels."""
    listing = subprocess.run(["ffmpeg", "-v", "quiet", "-layouts"], capture_output=True, text=True, check=True).stdout
    table = listing.split("DECOMPOSITION", 1)[1]
    return {name: parts.split("+") for name, parts in re.findall(r"^(\S+) +(\S+)$", table, re.MULTILINE)}


def surround(layout, channels):
    return Stream(1, "audio", "pcm_f32le", channels=channels, channel_layout=layout)


def weights(source, filter_layout, boost_db=0.0, gain_db=0.0):
    """Give what each channel becomes on the left and on the right, by letting FFmpeg mix one sample of each."""
    ones = "|".join(f"0.2*eq(n\\,{number})" for number in range(source.channels))
    settings = StereoSettings(dialogue_boost_db=boost_db)
    command = [
        "ffmpeg",
        "-nostdin",
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        f"aevalsrc={ones}:s=48000:c={filter_layout}:d=0.1",
    ]
    command += ["-af", downmix.downmix(source, settings, sample_rate=48_000, gain_db=gain_db), "-f", "f32le", "-"]
    mixed = array.array("f", subprocess.run(command, capture_output=True, check=True).stdout)
    pairs = zip(mixed[0::2], mixed[1::2], strict=True)
    return [(left / 0.2, right / 0.2) for left, right in list(pairs)[: source.channels]]


def test_every_layout_that_ffmpeg_knows_has_each_channel_in_its_place():
    """Left goes left and right goes right, alike; the middle goes to both; only the bass is left out."""
    for layout, channels in layouts().items():
        if len(channels) < 3:
            continue
        found = dict(zip(channels, weights(surround(layout, len(channels)), layout), strict=True))
        for channel, (left, right) in found.items():
            mirrored = channel.translate(str.maketrans("LR", "RL"))
            if channel in BASS:
                assert (left, right) == (0, 0), layout
            elif mirrored == channel:
                assert left == right > 0.3, (layout, channel)
            else:
                own, other = (left, right) if "L" in channel else (right, left)
                assert own >= 0.5 > other == 0, (layout, channel)
                assert found[mirrored] == (right, left), (layout, channel)


@pytest.mark.parametrize("layout", ["5.1", "5.1(side)"])
def test_without_a_boost_it_is_the_plain_downmix_of_the_standard(layout):
    """ITU-R BS.775: the fronts whole, the centre and the surrounds at -3 dB."""
    left = [pair[0] for pair in weights(surround(layout, 6), layout)]
    assert left == pytest.approx([1, 0, HALF, 0, HALF, 0], abs=1e-3)


@pytest.mark.parametrize("layout", [name for name, parts in layouts().items() if len(parts) > 2])
def test_only_the_centre_is_raised_and_only_where_there_is_one(layout):
    """Between the centre and each other channel lies what was asked for; without a centre nothing changes."""
    channels = layouts()[layout]
    source = surround(layout, len(channels))
    plain, raised = (downmix.mix(source, boost).split("|")[1] for boost in (0.0, 6.0))
    change = {
        name: float(after) / float(before)
        for (before, name), (after, _) in zip(
            *(re.findall(r"([\d.]+)\*(\w+)", text) for text in (plain, raised)), strict=True
        )
        if name in channels
    }
    if "FC" in channels:
        centre = change.pop("FC")
        assert all(centre / other == pytest.approx(10 ** (6 / 20), rel=1e-3) for other in change.values())
    else:
        assert set(change.values()) == {1.0}


@pytest.mark.parametrize("channels", [3, 4, 5, 6, 7, 8, 16])
def test_channels_without_names_are_taken_by_their_order(channels):
    """The first two are left and right, and the third, where speech is, is heard on both sides."""
    layout = next(layout for layout, parts in layouts().items() if len(parts) == channels)
    found = weights(surround("", channels), layout)
    assert found[0] == pytest.approx((1, 0), abs=1e-3)
    assert found[1] == pytest.approx((0, 1), abs=1e-3)
    assert found[2] == pytest.approx((HALF, HALF), abs=1e-3)
    for unnamed in ("unknown", f"{channels} channels"):
        assert downmix.mix(surround(unnamed, channels), 3) == downmix.mix(surround("", channels), 3)


def test_a_layout_spelled_out_is_read_by_its_channels():
    """FFmpeg 7 and later write so; of such a layout the centre is raised where it has one."""
    with_centre = surround("6 channels (FL+FR+FC+LFE+BC+TC)", 6)
    without = surround("5 channels (FL+FR+LFE+BL+BR)", 5)
    assert "c0" not in downmix.mix(with_centre, 0)
    assert downmix.mix(with_centre, 6) != downmix.mix(with_centre, 0)
    assert downmix.mix(without, 6) == downmix.mix(without, 0)


def test_the_gain_is_that_of_all_channels():
    """It is part of the mixing, and costs no filter of its own."""
    plain, louder = (weights(surround("5.1", 6), "5.1", gain_db=gain) for gain in (0.0, -6.0206))
    assert [left for left, _ in louder] == pytest.approx([left / 2 for left, _ in plain], abs=1e-3)
