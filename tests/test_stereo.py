"""media/stereo: the film gets one English stereo track, keeps all else bit for bit, and no failure leaves a trace."""

import asyncio
import json
import os
import stat
import subprocess

import films
import pytest
from films import Audio
from helpers import small_disk

from watcher.errors import ConversionFailed
from watcher.media import probe, stereo, structure, tools
from watcher.rules.audio import AudioRules, Decision, decide

EVERYTHING = films.kinds["everything"]
CONTAINERS = {"mkv": EVERYTHING, "mp4": {**EVERYTHING, "font": False}, "mov": {**EVERYTHING, "font": False}}


def packets(path, number):
    """Hash the packets of one stream, by a command of our own."""
    command = ["ffmpeg", "-v", "error", "-i", path, "-map", f"0:{number}", "-c", "copy", "-f", "streamhash", "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout.split(b"=")[1]


def attached(path, streams):
    """Give the bytes of every attached font and cover, by its name."""
    found = {}
    for stream in streams:
        take = {"attachment": [f"-dump_attachment:{stream.index}", "/dev/stdout"]}.get(stream.kind, [])
        copy = ["-map", f"0:{stream.index}", "-c", "copy", "-frames:v", "1", "-f", "rawvideo", "-"]
        if take or "attached_pic" in stream.dispositions:
            command = ["ffmpeg", "-v", "quiet", "-y", *take, "-i", path, *([] if take else copy)]
            found[stream.tags["filename"]] = subprocess.run(command, capture_output=True, check=False).stdout
    return found


def peak_db(path, number, *filters):
    command = ["ffmpeg", "-v", "info", "-i", path, "-map", f"0:{number}", "-af", ",".join([*filters, "volumedetect"])]
    said = subprocess.run([*command, "-f", "null", "-"], capture_output=True, text=True, check=True).stderr
    return float(said.rsplit("mean_volume:", 1)[1].split()[0])


def english_stereo(result):
    return [s for s in result.streams if s.kind == "audio" and s.title == "English 2.0"]


@pytest.mark.parametrize("container", CONTAINERS)
async def test_a_film_with_everything_keeps_everything(convert, tmp_path, container):
    """Packets, names, languages, dispositions, order, chapters and tags are those of the film, by our own look."""
    film = films.film(tmp_path / f"film.{container}", **CONTAINERS[container])
    content = film.read_bytes()
    done = await convert(film)
    assert film.read_bytes() == content
    kept = [s for s in done.after.streams if s.title != "English 2.0" and s.kind != "data"]
    old = [s for s in done.before.streams if s.kind != "data"]
    assert len(done.after.streams) == len(done.before.streams) + 1
    for was, now in zip(old, kept, strict=True):
        facts = ("kind", "codec", "language", "title", "dispositions", "channels", "channel_layout", "sample_rate")
        assert [getattr(was, fact) for fact in facts] == [getattr(now, fact) for fact in facts]
        if was.kind != "attachment":
            assert packets(done.film, was.index) == packets(done.temp, now.index)
    for was, now in zip(done.before.chapters, done.after.chapters, strict=True):
        assert float(now["start_time"]) == pytest.approx(
            float(was["start_time"]), abs=0.03
        )  # FFmpeg 8 moves all by 21 ms
        assert was["tags"] == now["tags"]
    for tag in ("title", "comment"):
        old_value, new_value = ({k.lower(): v for k, v in p.tags.items()}[tag] for p in (done.before, done.after))
        assert old_value == new_value


async def test_fonts_and_covers_of_matroska_are_the_same_files(convert, tmp_path):
    """A cover stays an attached picture: copied by FFmpeg alone it would become a track."""
    done = await convert(films.film(tmp_path / "film.mkv", **EVERYTHING))
    before = attached(done.film, done.before.streams)
    assert set(before) == {"Odd Name.ttf", "cover.jpg"}
    assert all(before.values())
    assert attached(done.temp, done.after.streams) == before
    assert done.after.streams[-1].dispositions == {"attached_pic"}


@pytest.mark.parametrize("container", ["mkv", "mp4", "mov"])
async def test_the_new_track_is_named_english_stereo_and_not_the_default(convert, tmp_path, container):
    """It stands behind the last sound track, and the default stays what it was."""
    done = await convert(films.film(tmp_path / f"film.{container}", **CONTAINERS[container]))
    (made,) = english_stereo(done.after)
    assert (made.codec, made.language, made.channels, made.dispositions) == ("aac", "eng", 2, frozenset())
    assert made.index == max(s.index for s in done.after.streams if s.kind == "audio") == 4
    assert decide(done.after.streams, AudioRules()).stereo == made.index


async def test_the_new_track_is_the_only_default_sound_when_asked_for(convert, tmp_path):
    """Two defaults would leave the choice to the player."""
    done = await convert(films.film(tmp_path / "film.mkv", **EVERYTHING), default_track=True)
    defaults = [s.title for s in done.after.streams if s.kind == "audio" and "default" in s.dispositions]
    assert defaults == ["English 2.0"]


async def test_the_source_is_the_one_of_the_decision(convert, tmp_path):
    """With German first and English second, what is heard afterwards is the English sound."""
    film = films.film(tmp_path / "film.mkv", audio=(Audio("ger", 6, "", "default"), Audio("eng", 6)))
    done = await convert(film)
    assert done.proof.made["from"] == 2
    made = english_stereo(done.after)[0].index
    high = "bandpass=f=1000:width_type=h:w=10"  # no tone of either track: both filters below must differ from it
    assert peak_db(done.temp, made, "bandpass=f=490:width_type=h:w=10") > peak_db(done.temp, made, high) + 10


async def test_tags_of_the_source_track_do_not_stay_on_the_new_one(convert, tmp_path):
    """A title or statistics of the 5.1 track would be wrong on the stereo one."""
    film = films.film(
        tmp_path / "film.mkv", audio=(Audio("eng", 6, "Surround"),), extra=["-metadata:s:a:0", "BPS=448000"]
    )
    made = english_stereo((await convert(film)).after)[0]
    assert set(map(str.lower, made.tags)) - {"encoder", "duration"} == {"language", "title"}


@pytest.mark.parametrize("channels", [3, 6, 8])
async def test_every_layout_gives_a_track_as_long_and_about_as_loud_as_its_source(convert, tmp_path, channels):
    """2.1, 5.1 and 7.1 go through one filter."""
    done = await convert(films.film(tmp_path / "film.mkv", audio=(Audio("eng", channels),)))
    assert abs(done.proof.made["seconds"] - 2) < 0.1
    assert -30 < done.proof.made["loudness_lufs"] < -10


async def test_sound_that_begins_late_stays_in_time(convert, tmp_path):
    """What is missing at the start is silence in the new track, not a shift."""
    early, film = films.film(tmp_path / "early.mkv"), tmp_path / "film.mkv"
    films.run_ffmpeg(
        *("-i", early, "-itsoffset", 1, "-i", early, "-map", "0:v", "-map", "1:a", "-c", "copy"),
        *("-metadata:s:a:0", "language=eng", film),
    )
    done = await convert(film)
    assert abs(done.proof.made["seconds"] - 3) < 0.1
    assert peak_db(done.temp, done.proof.made["stream"], "atrim=end=0.9") < -70


async def test_a_silent_source_gives_a_silent_track_and_no_complaint(convert, tmp_path):
    """Only a track that is silent where its source is not is refused."""
    film = tmp_path / "film.mkv"
    films.run_ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=size=160x120:rate=10:duration=1", "-f", "lavfi", "-i", "anullsrc=cl=5.1:d=1"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "ac3", "-metadata:s:a:0", "language=eng", film),
    )
    assert (await convert(film)).proof.made["loudness_lufs"] is None


async def test_sound_that_the_downmix_does_not_reach_is_refused(convert, tmp_path):
    """All of this film's sound is in the bass channel: a silent track would be made, and is not kept."""
    film = tmp_path / "film.mkv"
    films.run_ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=size=160x120:rate=10:duration=1", "-f", "lavfi", "-i"),
        "aevalsrc=0|0|0|0.3*sin(2*PI*60*t)|0|0:s=48000:c=5.1:d=1",
        *("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "pcm_s16le", "-metadata:s:a:0", "language=eng", film),
    )
    with pytest.raises(ConversionFailed) as failed:
        await convert(film)
    assert failed.value.reason == "silent"
    assert os.listdir(tmp_path) == ["film.mkv"]


@pytest.mark.parametrize("container", ["avi", "ts", "mpg"])
async def test_other_containers_get_a_sidecar_with_picture_and_new_track(convert, tmp_path, ours, container):
    """The sidecar can be watched: the picture, and English stereo as its default sound."""
    film = films.film(tmp_path / f"Some.Film.{container}")
    done = await convert(film)
    decision = decide(done.before.streams, AudioRules(untagged_is_english=True))
    plan = stereo.plan(done.before, decision, done.film, stereo.StereoSettings())
    assert plan.target == os.fsencode(tmp_path / "Some.Film.stereo.mkv")
    assert [(s.kind, s.codec) for s in done.after.streams] == [
        ("video", done.before.streams[0].codec),
        ("audio", "aac"),
    ]
    assert done.after.format_name == "matroska,webm"
    assert done.after.streams[1].dispositions == {"default"}


async def test_webm_stays_webm(convert, tmp_path):
    """It may hold no AAC: the new track is Opus."""
    done = await convert(films.film(tmp_path / "film.webm", tags={"title": "A fïlm"}))
    assert [(s.kind, s.codec) for s in done.after.streams] == [("video", "vp8"), ("audio", "opus"), ("audio", "opus")]
    assert structure.walk(done.temp).container == "webm"
    assert {key.lower(): value for key, value in done.after.tags.items()}["title"] == "A fïlm"


async def test_an_opus_track_keeps_its_place_in_time_as_far_as_ffmpeg_knows_it(convert, tmp_path):
    """FFmpeg 5 forgets the codec's delay of 6.5 ms: nobody hears that, and it is no reason to refuse a film."""
    done = await convert(films.film(tmp_path / "film.mkv", audio=[Audio("eng", 6, codec="libopus"), Audio("ger", 6)]))
    starts = [
        [float(s.raw["start_time"]) for s in p.streams if s.title != "English 2.0"] for p in (done.before, done.after)
    ]
    moved = [now - was for was, now in zip(*starts, strict=True)]
    assert max(moved) - min(moved) < 0.009


@pytest.mark.parametrize("container", ["ts", "mpg", "flv"])
async def test_what_cannot_take_the_track_becomes_matroska_with_all_it_has(convert, tmp_path, container):
    """Every picture and every sound, bit for bit in Matroska's form, and the new track."""
    film = films.film(tmp_path / f"film.{container}", audio=[Audio("eng", 2 if container == "flv" else 6)])
    done = await convert(film, Decision("make", "english_surround", "", source=1), remux=True)
    assert [s.codec for s in done.after.streams] == [*(s.codec for s in done.before.streams), "aac"]
    assert [entry["film"] for entry in done.proof.streams] == [0, 1]
    assert done.after.streams[1].language == done.before.streams[1].language


@pytest.mark.parametrize("container", ["mkv", "mp4", "mov"])
async def test_a_film_that_is_to_be_left_alone_gets_a_second_one_beside_it(convert, tmp_path, container):
    """Picture, new track, subtitles and their fonts: it can be watched by itself, in the film's own container."""
    done = await convert(films.film(tmp_path / f"film.{container}", **CONTAINERS[container]), output="sidecar")
    fonts = ["attachment"] if container == "mkv" else []
    kinds = [s.kind for s in done.after.streams if s.kind != "data"]
    assert kinds == ["video", "audio", "subtitle", "subtitle", *fonts]
    assert done.after.format_name == done.before.format_name
    assert english_stereo(done.after)[0].dispositions == {"default"}
    assert len(done.after.chapters) == 2


@pytest.mark.parametrize("container", ["mov", "mp4"])
async def test_a_time_code_is_kept(convert, tmp_path, container):
    """Its packet, the number of the first frame, is the same; MP4 gets it anew, before its cover."""
    extra = ["-r:v:0", "25", "-metadata:s:v:0", "timecode=01:02:03:04"]
    film = films.film(tmp_path / f"film.{container}", cover=container == "mp4", extra=extra)
    done = await convert(film)
    codes = [[s.index for s in p.streams if s.kind == "data"] for p in (done.before, done.after)]
    assert [len(numbers) for numbers in codes] == [1, 1]
    assert packets(done.film, codes[0][0]) == packets(done.temp, codes[1][0])
    assert done.after.streams[0].tags["timecode"] == "01:02:03:04"
    assert [s.index for s in done.after.streams if "attached_pic" in s.dispositions] == [4] * (container == "mp4")


async def test_a_film_with_data_that_would_be_lost_is_refused_unless_that_is_allowed(convert, tmp_path):
    """Nothing is written then; where it is allowed, the proof says what is gone."""
    film = films.film(tmp_path / "film.mov", extra=["-timecode", "00:00:01:00"])
    film.write_bytes(film.read_bytes().replace(b"tmcd", b"mebx"))
    with pytest.raises(ConversionFailed) as failed:
        await convert(film)
    assert failed.value.reason == "unsupported_streams"
    assert "2 (data" in failed.value.detail
    assert os.listdir(tmp_path) == ["film.mov"]
    done = await convert(film, allow_data_loss=True)
    assert done.proof.to_dict()["lost"] == ["stream 2 (data mebx)"]


@pytest.mark.parametrize(
    "name",
    [
        b"-i.mkv",
        b"a b'c\"d\n%03d.mkv",
        b"caf\xe9 \xff.mkv",
        b"pipe:0.mkv",
        b"http:x.mkv",
        b"concat:a|b.mkv",
        b"\\ [x].mkv",
    ],
)
async def test_odd_names_are_only_names(convert, tmp_path, name):
    """No name is an option, a pattern or a protocol."""
    film = os.path.join(os.fsencode(tmp_path), name)
    os.rename(films.film(tmp_path / "film.mkv", seconds=1, cover=True), film)
    assert (await convert(film)).proof.streams


async def test_while_it_is_made_nobody_else_may_read_it(convert, tmp_path):
    """A private film's content stands in the temporary file before the film's mode does."""
    done = await convert(films.film(tmp_path / "film.mkv"))
    assert stat.S_IMODE(os.stat(done.temp).st_mode) == 0o600


async def test_the_proof_can_be_stored_and_names_every_kept_stream(convert, tmp_path):
    """JSON in, JSON out; one account a stream, the attachments counted."""
    done = await convert(films.film(tmp_path / "film.mkv", **EVERYTHING))
    stored = json.loads(json.dumps(done.proof.to_dict()))
    assert [s["film"] for s in stored["streams"]] == [0, 1, 2, 3, 4, 5, 7]
    assert all(len(s["content"]) == 32 and s["packets"] for s in stored["streams"])
    assert (stored["attachments"], stored["chapters"], stored["left_out"]) == (1, 2, [])
    assert stored["cpu_sec"] > 0
    assert done.shares
    assert done.shares == sorted(done.shares)
    assert done.shares[-1] <= 1


async def test_being_cancelled_leaves_nothing(convert, tmp_path):
    """The process is gone and the temporary file with it when the cancellation is through."""
    film = films.film(tmp_path / "film.mkv")
    task = asyncio.create_task(convert(film))
    temp = tmp_path / ".watcher-test.tmp"
    while not temp.exists():
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert os.listdir(tmp_path) == ["film.mkv"]


async def test_a_film_cut_off_while_it_is_converted_is_refused_or_proved_never_half_done(convert, tmp_path):
    """A file that FFmpeg cannot read gives one clear error."""
    film = films.film(tmp_path / "film.mp4")
    before = Decision("make", "english_surround", "", source=1)
    intact = film.read_bytes()
    done = await convert(film)
    os.unlink(done.temp)
    film.write_bytes(intact[: len(intact) // 4])
    with pytest.raises(ConversionFailed) as failed:
        await stereo.make(await tools.find_tools(), done.film, done.temp, done.before, before, stereo.StereoSettings())
    assert failed.value.reason == "ffmpeg_failed"
    assert os.listdir(tmp_path) == ["film.mp4"]


@pytest.mark.parametrize("container", ["mkv", "mp4"])
async def test_a_full_disk_is_named_and_leaves_the_film_alone(ours, tmp_path, container):
    """FFmpeg 5.1 ends with success when the disk is full; its words are heeded."""
    film = films.film(tmp_path / f"film.{container}", audio=[Audio("eng", 6)] * 4)
    with small_disk(tmp_path / "disk", 500 + film.stat().st_size // 1024) as disk:
        path = os.fsencode(disk / film.name)
        os.rename(tmp_path / film.name, tmp_path / "kept")
        (disk / film.name).write_bytes((tmp_path / "kept").read_bytes())
        before = await probe.probe(ours, path)
        decision = decide(before.streams, AudioRules())
        with pytest.raises(ConversionFailed) as failed:
            await stereo.make(ours, path, path + b".tmp", before, decision, stereo.StereoSettings(bitrate_kbps=512))
        assert failed.value.reason == "no_space"
        assert os.listdir(disk) == [film.name]
        assert (disk / film.name).read_bytes() == (tmp_path / "kept").read_bytes()


async def test_a_folder_that_cannot_be_written_is_named(ours, tmp_path):
    """The film is read, nothing else happens."""
    film = films.film(tmp_path / "film.mkv")
    before = await probe.probe(ours, os.fsencode(film))
    decision = decide(before.streams, AudioRules())
    with pytest.raises(ConversionFailed) as failed:
        await stereo.make(ours, os.fsencode(film), b"/proc/x.tmp", before, decision, stereo.StereoSettings())
    assert failed.value.reason in {"permission", "io_error"}


def test_the_time_limit_grows_with_length_and_size():
    """A film of unknown length is guessed from its size, within bounds."""
    assert stereo.time_limit_sec(0, 0) == 600
    assert stereo.time_limit_sec(10**10, 7200) == 600 + 28_800 + 25_000
    assert stereo.time_limit_sec(10**13, None) == 600 + 4 * 43_200 + 25 * 10**6


async def test_what_only_the_file_itself_shows_is_refused_or_named(convert, tmp_path):
    """Chapters in an order of their own: FFmpeg reads past the mark, so that nothing else would miss it."""
    film = films.film(tmp_path / "film.mkv", chapters=True)
    default, ordered = bytes.fromhex("45db8101"), bytes.fromhex("45dd8101")
    content = film.read_bytes()
    assert default in content
    film.write_bytes(content.replace(default, ordered))
    with pytest.raises(ConversionFailed, match="an order of their own") as failed:
        await convert(film)
    assert failed.value.reason == "unsupported_streams"
    done = await convert(film, allow_data_loss=True)
    assert done.proof.lost == ("an edition that plays its chapters in an order of their own",)
