"""Sound and picture: a click that is heard at a time in the film is heard at that time in its new track."""

import array
import os
import subprocess

import films
import pytest
from making import CLICKS, RATE, changing_film, short_pieces

from watcher.rules.audio import Decision


def click_film(path, video, sound, late_sec):
    """Make a film of four seconds with clicks in all channels; the picture begins first, or the sound."""
    wave = "+".join(f"between(t\\,{at}\\,{at + 0.001})" for at in CLICKS)
    picture, heard = (0, late_sec) if late_sec >= 0 else (-late_sec, 0)
    films.run_ffmpeg(
        *("-itsoffset", picture, "-f", "lavfi", "-i", "testsrc=size=64x48:rate=25:d=4"),
        *("-itsoffset", heard, "-f", "lavfi", "-i", f"aevalsrc={'|'.join([f'0.7*({wave})'] * 6)}:c=5.1:s={RATE}:d=4"),
        *("-c:v", video, "-c:a", *sound, "-metadata:s:a:0", "language=eng", path),
    )
    return path


def heard(path, stream):
    """Give the times of the clicks of one stream, in seconds from the first picture."""
    ask = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time", "-of", "csv=p=0"]
    pictures = subprocess.run([*ask, path], capture_output=True, text=True, check=True).stdout.replace(",", "").split()
    decode = ["ffmpeg", "-v", "error", "-copyts", "-i", path, "-map", f"0:{stream}", "-ac", "1"]
    decode += ["-af", "aresample=async=1:first_pts=0", "-f", "f32le", "-"]
    samples = array.array("f", subprocess.run(decode, capture_output=True, check=True).stdout)
    found, at = [], 0
    while at < len(samples):
        if abs(samples[at]) > 0.12:
            power = [sample * sample for sample in samples[at : at + 600]]
            found.append((at + sum(n * p for n, p in enumerate(power)) / sum(power)) / RATE - min(map(float, pictures)))
            at += RATE // 4
        at += 1
    return found


@pytest.mark.parametrize(
    ("late_sec", "container", "video", "sound", "settings"),
    [
        (0.5, "mkv", "mpeg4", ["ac3"], {}),
        (-0.5, "mp4", "mpeg4", ["ac3"], {}),
        (0.5, "mov", "mpeg4", ["ac3"], {"codec": "ac3"}),
        (0.5, "webm", "libvpx", ["libopus", "-b:a", "256k"], {}),
        (0.5, "ts", "mpeg2video", ["ac3"], {}),
        (-0.5, "ts", "mpeg2video", ["ac3"], {}),
        (0.5, "ts", "mpeg2video", ["ac3"], {"remux": True}),
        (0.5, "avi", "mpeg4", ["ac3"], {"remux": True}),
    ],
)
async def test_a_click_is_heard_when_it_was(
    convert, tmp_path, monkeypatch, container, video, sound, settings, late_sec
):
    """Within a millisecond, whichever begins first, in the film and beside it, whatever the joints between pieces."""
    short_pieces(monkeypatch)
    film = click_film(tmp_path / f"film.{container}", video, sound, late_sec)
    done = await convert(film, Decision("make", "english_surround", "", source=1), **settings)
    before, after = heard(film, 1), heard(os.fsdecode(done.temp), done.proof.made["stream"])
    assert len(before) == len(after) == len(CLICKS)
    # FFmpeg 5 takes an Opus encoder's delay off twice in Matroska; the film's own sound is moved by as much in it.
    tolerance = 0.008 if container == "webm" else 0.001
    assert max(abs(now - was) for was, now in zip(before, after, strict=True)) < tolerance


@pytest.mark.parametrize(
    ("container", "video", "pieces", "loudness"),
    [("mkv", "mpeg4", True, "keep"), ("mkv", "mpeg4", False, "ebu_r128"), ("ts", "mpeg2video", True, "ebu_r128")],
)
async def test_sound_that_changes_its_form_half_way_becomes_one_track(
    convert, tmp_path, monkeypatch, container, video, pieces, loudness
):
    """All of it is heard when it was: FFmpeg's filters begin anew at such a change, and would lose count."""
    if pieces:
        short_pieces(monkeypatch)
    film = changing_film(tmp_path / f"film.{container}", video)
    done = await convert(film, Decision("make", "english_surround", "", source=1), loudness=loudness)
    assert done.proof.made["seconds"] == pytest.approx(0.4 + 3.552, abs=0.03)
    after = heard(os.fsdecode(done.temp), done.proof.made["stream"])
    # The encoder of the film's own sound has put 256 samples before each part.
    assert after == pytest.approx([at + 256 / RATE for at in CLICKS], abs=0.003)
