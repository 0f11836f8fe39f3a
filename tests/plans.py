"""Films as values, and the plans made for them: no disk, no process."""

from watcher.media import layout
from watcher.media.downmix import StereoSettings
from watcher.media.probe import Probe
from watcher.rules.audio import Decision, Stream

MKV, MP4 = "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2"
MAKE = Decision("make", "english_surround", "", source=1)
VIDEO = Stream(0, "video", "h264", dispositions=frozenset({"default"}))
SURROUND = Stream(1, "audio", "ac3", "eng", "Main", 6, "5.1(side)", 48_000, tags={"language": "eng", "BPS": "448000"})


def film(*more, format_name=MKV, tags=None, chapters=(), first=(VIDEO, SURROUND)):
    """Give a film of picture, English surround, and more."""
    return Probe(format_name, 60.0, 1000, tags or {}, (*first, *more), chapters)


def plan_of(probe, name=b"/films/Film.mkv", **settings):
    return layout.plan(probe, MAKE, name, StereoSettings(**settings))
