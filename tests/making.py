"""Making a stereo track in a test: the film before, the result after, the proof between."""

import os
import types

import films

from watcher.media import pieces, probe, stereo
from watcher.rules.audio import AudioRules, decide

CLICKS = (0.6, 1.45, 2.3, 3.15)
RATE = 48_000


async def make(tools, film, temp, decision=None, *, languages=("eng",), **settings):
    """Convert a film to `temp`; gives what it was, what the result is, the proof, and the progress told."""
    path, temp = os.fsencode(film), os.fsencode(temp)
    before = await probe.probe(tools, path)
    decision = decision or decide(before.streams, AudioRules(languages, untagged_is_english=True))
    assert decision.outcome == "make"
    shares = []
    proof = await stereo.make(
        tools, path, temp, before, decision, stereo.StereoSettings(**settings), on_progress=shares.append
    )
    after = await probe.probe(tools, temp)
    made = after.streams[proof.made["stream"]]
    return types.SimpleNamespace(
        film=path, temp=temp, before=before, after=after, made=made, proof=proof, shares=shares
    )


def short_pieces(monkeypatch):
    """Let pieces be a bit longer than a second, so that a film of seconds has several."""
    monkeypatch.setattr(pieces, "SHORTEST_SEC", 1.2)
    monkeypatch.setattr(pieces, "WARM_UP", 47)


def changing_film(path, video):
    """Make a film of four seconds with clicks, in 5.1 but for a second of stereo, as broadcasts have it; the picture first."""
    sound, late_sec = path.with_suffix(".ac3"), 0.4
    with open(sound, "wb") as whole:
        for number, (begin, end, channels) in enumerate(((0, 1.056, 6), (1.056, 2.112, 2), (2.112, 3.552, 6))):
            wave = "+".join(f"between(t+{begin + late_sec}\\,{at}\\,{at + 0.001})" for at in CLICKS)
            part, layout = path.with_suffix(f".{number}.ac3"), {6: "5.1", 2: "stereo"}[channels]
            sources = "|".join([f"0.7*({wave})"] * channels)
            films.run_ffmpeg("-f", "lavfi", "-i", f"aevalsrc={sources}:c={layout}:s={RATE}:d={end - begin}", part)
            whole.write(part.read_bytes())
    films.run_ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=size=64x48:rate=25:d=4", "-itsoffset", late_sec, "-i", sound),
        *("-c:v", video, "-c:a", "copy", "-metadata:s:a:0", "language=eng", path),
    )
    return path
