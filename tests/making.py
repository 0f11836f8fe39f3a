"""Making a stereo track in a test: the film before, the result after, the proof between."""

import os
import types

from watcher.media import pieces, probe, stereo
from watcher.rules.audio import AudioRules, decide


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
