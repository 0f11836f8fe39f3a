"""media/loudness: the new track is as loud as it should be, speech stands out of it, and its peaks stay in bounds."""

import subprocess

import films
import pytest

from watcher.errors import ConversionFailed
from watcher.media import downmix, ffmpeg, loudness, probe, track
from watcher.media.downmix import StereoSettings
from watcher.media.loudness import Meter
from watcher.rules.audio import Stream

VOICE = "anoisesrc=c=pink:a={level}:d={seconds}:r=48000:seed=1,tremolo=f=4:d=0.9,bandpass=f=1000:width_type=h:w=1200"
AROUND = "anoisesrc=c=pink:a={level}:d={seconds}:r=48000:seed={seed},lowpass=f=200,lowpass=f=200"


def surround_film(path, voice=0.5, around=0.3, seconds=2, codec="ac3"):
    """Make a film with speech in the centre, and something low all around."""
    sources = [VOICE.format(level=voice, seconds=seconds)]
    sources += [AROUND.format(level=around, seconds=seconds, seed=seed) for seed in (2, 3, 4, 5)]
    inputs = [word for source in sources for word in ("-f", "lavfi", "-i", source)]
    joined = "[1][2][3][4][5]join=inputs=5:channel_layout=5.0(side):map=0.0-FC|1.0-FL|2.0-FR|3.0-SL|4.0-SR[a]"
    films.run_ffmpeg(
        *("-f", "lavfi", "-i", f"testsrc=size=160x120:rate=5:duration={seconds}", *inputs, "-filter_complex", joined),
        *("-map", "0:v", "-map", "[a]", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", codec, "-b:a", "448k"),
        *("-metadata:s:a:0", "language=eng", path),
    )
    return path


def said(path, number, filters):
    """Let FFmpeg measure a track, by a command of our own."""
    command = [
        "ffmpeg",
        "-nostdin",
        "-hide_banner",
        "-i",
        path,
        "-map",
        f"0:{number}",
        "-af",
        filters,
        "-f",
        "null",
        "-",
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


def loudness_of(path, number, mixing="anull"):
    return float(said(path, number, f"{mixing},ebur128=framelog=verbose").rsplit(" I:", 1)[1].split()[0])


def true_peak_of(path, number):
    return float(said(path, number, "ebur128=framelog=verbose:peak=true").rsplit("Peak:", 1)[1].split()[0])


PLAIN = "aformat=sample_fmts=fltp,pan=stereo|FL=FL+0.7071*FC+0.7071*SL|FR=FR+0.7071*FC+0.7071*SR"


@pytest.mark.parametrize(("voice", "around", "boost"), [(0.5, 0.02, 3), (0.02, 0.5, 3), (0.5, 0.02, 9), (0.02, 0.5, 9)])
async def test_keep_is_as_loud_as_the_plain_downmix_whatever_the_boost(convert, tmp_path, voice, around, boost):
    """Speech alone would be raised by half the boost, noise alone lowered by it: that is taken back."""
    film = surround_film(tmp_path / "film.mkv", voice, around)
    done = await convert(film, dialogue_boost_db=boost)
    made = loudness_of(done.temp, done.made.index)
    assert made == pytest.approx(loudness_of(film, 1, PLAIN), abs=1)
    assert made == pytest.approx(done.proof.made["loudness_lufs"], abs=0.2)


@pytest.mark.parametrize(("around", "target"), [(0.1, -23), (0.3, -16)])
async def test_ebu_r128_is_as_loud_as_the_target(convert, tmp_path, around, target):
    """Whether the film is louder or quieter than that."""
    film = surround_film(tmp_path / "film.mkv", voice=around, around=around)
    done = await convert(film, loudness="ebu_r128", loudness_target_lufs=float(target))
    assert loudness_of(done.temp, done.made.index) == pytest.approx(target, abs=1)
    assert true_peak_of(done.temp, done.made.index) < -1


@pytest.mark.parametrize("settings", [{}, {"loudness": "ebu_r128"}], ids=["keep", "ebu_r128"])
async def test_speech_stands_out_more_than_in_a_plain_downmix(convert, tmp_path, settings):
    """Speech in the centre against what is around it, beside FFmpeg's own `-ac 2`."""
    film, plain = surround_film(tmp_path / "film.mkv"), tmp_path / "plain.mka"
    films.run_ffmpeg("-i", film, "-map", "0:a", "-ac", 2, "-c:a", "flac", plain)
    done = await convert(film, **settings)

    def speech_to_rest(path, number):
        high, low = (
            loudness_of(path, number, "highpass=f=600,highpass=f=600"),
            loudness_of(path, number, "lowpass=f=150"),
        )
        return high - low

    assert speech_to_rest(done.temp, done.made.index) - speech_to_rest(plain, 0) == pytest.approx(3, abs=0.5)


FULL_SCALE = {
    "noise": "(random({n})*2-1)",
    "square waves": "sgn(sin(2*PI*{n}97*t))",
    "bursts": "(random({n})*2-1)*lt(mod(t\\,0.7)\\,0.03)",
}


@pytest.mark.parametrize(
    ("kind", "codec"),
    [("noise", "aac"), ("square waves", "aac"), ("bursts", "aac"), ("noise", "ac3"), ("noise", "opus")],
)
async def test_true_peaks_stay_below_the_limit_at_full_scale_in_all_channels(convert, tmp_path, kind, codec):
    """A coder overshoots the limiter; where it does by too much, the track is made again with a lower limit."""
    film, one = tmp_path / "film.mkv", FULL_SCALE[kind]
    films.run_ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=size=160x120:rate=10:duration=2", "-f", "lavfi", "-i"),
        f"aevalsrc={'|'.join(one.format(n=n) for n in range(1, 7))}:s=48000:c=5.1:d=2",
        *("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "flac", "-metadata:s:a:0", "language=eng", film),
    )
    done = await convert(film, codec=codec)
    assert true_peak_of(done.temp, done.made.index) <= loudness.TRUE_PEAK_LIMIT_DB
    assert done.proof.made["true_peak_dbtp"] == pytest.approx(true_peak_of(done.temp, done.made.index), abs=0.3)
    assert done.shares == sorted(done.shares)


async def test_a_track_whose_peaks_stay_too_high_is_refused(convert, tmp_path, monkeypatch):
    """A clipped track is not kept, and no file of it."""
    monkeypatch.setattr(track, "TRIES", 1)
    film = tmp_path / "film.mkv"
    films.run_ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=size=160x120:rate=10:duration=2", "-f", "lavfi", "-i"),
        f"aevalsrc={'|'.join(['random(1)*2-1'] * 6)}:s=48000:c=5.1:d=2",
        *("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "flac", "-metadata:s:a:0", "language=eng", film),
    )
    with pytest.raises(ConversionFailed) as failed:
        await convert(film)
    assert failed.value.reason == "clipped"
    assert [path.name for path in tmp_path.iterdir()] == ["film.mkv"]


async def gain_of(ours, film, source, duration):
    meter, settings = Meter(), StereoSettings(dialogue_boost_db=6)
    argv = loudness.sample_command(ours, bytes(film), source, settings, duration)
    if argv is None:
        argv = loudness.listen_command(ours, ["-i", film], 0, source, settings)
    finished = await ffmpeg.run(argv, time_limit_sec=60, ignore_line=lambda line: meter.take(line) or "[info]" in line)
    assert finished.returncode == 0
    return argv.count("-i"), loudness.gain_db(meter, settings)


async def test_a_minute_of_a_long_film_tells_what_all_of_it_would(ours, tmp_path):
    """Spread over the film; speech comes and goes in this one."""
    film = tmp_path / "film.mka"
    voice = "0.3*sin(2*PI*700*t)*lt(mod(t\\,37)\\,20)"
    noise = "0.02*(random(1)*2-1)"
    films.run_ffmpeg(
        *("-f", "lavfi", "-i", f"aevalsrc={noise}|{noise}|{voice}|0|{noise}|{noise}:s=16000:c=5.1:d=200"),
        *("-c:a", "flac", "-compression_level", 0, film),
    )
    source = (await probe.probe(ours, bytes(film))).streams[0]
    inputs, sampled = await gain_of(ours, film, source, 200.0)
    assert inputs == loudness.WINDOWS
    once, whole = await gain_of(ours, film, source, None)
    assert once == 1
    assert sampled == pytest.approx(whole, abs=0.5)
    assert abs(whole) > 0.5


def test_there_is_no_listening_where_the_mix_is_the_plain_one():
    """Without a boost, or without a centre to raise, "keep" costs nothing."""
    surround = Stream(1, "audio", "ac3", channels=6, channel_layout="5.1")
    quad = Stream(1, "audio", "ac3", channels=4, channel_layout="quad")
    assert not loudness.has_to_listen(surround, StereoSettings(dialogue_boost_db=0))
    assert not loudness.has_to_listen(quad, StereoSettings())
    assert loudness.has_to_listen(surround, StereoSettings())
    assert loudness.has_to_listen(quad, StereoSettings(loudness="ebu_r128"))
    assert downmix.mix(quad, 3) == downmix.mix(quad, 0)


def test_silence_has_no_loudness_and_is_not_raised():
    """FFmpeg reports -70 of it, and infinity of its peak."""
    meter = Meter()
    for line in ("[ebur128@mixed @ 0x1] [info] Summary:", "I:         -70.0 LUFS", "Peak:       -inf dBFS"):
        assert meter.take(line)
    assert meter.loudness_lufs("mixed") is None
    assert loudness.gain_db(meter, StereoSettings(loudness="ebu_r128")) == 0
    assert not meter.take("[matroska @ 0x1] [error] File ended prematurely")
