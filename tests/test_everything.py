"""A film with everything: after its conversion ffprobe tells of it what it told before, but for the new track."""

import json
import struct
import subprocess

import films
import making
import pytest

from watcher.media import tools

ODD = "two\nlines; a=b \"double\" 'single' \\ # 🎬 ünïcödé " + "long " * 200
HDR = (
    "log-level=none:hdr10=1:repeat-headers=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:max-cll=1000,400:"
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
)
TRACKS = (("eng", 6, "Main = 5.1"), ("ger", 6, "Deutsch; 5.1"), ("fra", 2, "Français 🎬"), ("eng", 2, "Commentary"))
SUBTITLES = (("eng", "forced", "Signs"), ("eng", "hearing_impaired", "SDH 'quoted'"))
MUXERS_OWN = {
    *("index", "id", "start_pts", "start_time", "start", "end", "duration", "duration_ts", "bit_rate", "max_bit_rate"),
    *("nb_frames", "nb_streams", "size", "filename", "avg_frame_rate", "r_frame_rate", "probe_score", "extradata_size"),
    *("end_time",),
}
"""Places, sizes and what is worked out from them; that packets and their times are the same is proved elsewhere."""
MUXERS_TAGS = {"encoder", "duration", "vendor_id", "major_brand", "minor_version", "compatible_brands"}


def pgs(path):
    """Write two pictures of subtitles, both empty: a composition without objects, and the end of it."""

    def segment(at_sec, kind, data=b""):
        return b"PG" + struct.pack(">IIBH", int(at_sec * 90_000), 0, kind, len(data)) + data

    def composition(number):
        return struct.pack(">HHBHBBBB", 160, 120, 0x10, number, 0x80, 0, 0, 0)

    path.write_bytes(
        b"".join(segment(at, 0x16, composition(at)) + segment(at, 0x80) for at in (0, 1)),
    )
    return path


def everything(path):
    """Put the film at `path`, in the container its name asks for."""
    mkv, folder = path.suffix == ".mkv", path.parent
    bare = films.film(folder / "bare.mkv", seconds=2, audio=(), chapters=True, cover=True)
    inputs, maps, words = ["-i", bare], ["-map", "0:V"], []
    for channels, (language, _, title) in zip((6, 6, 2, 2), TRACKS, strict=True):
        maps += ["-map", f"{inputs.count('-i')}:a"]
        tone = "|".join(f"0.1*sin({300 + 50 * n}*2*PI*t)" for n in range(channels))
        inputs += ["-f", "lavfi", "-i", f"aevalsrc={tone}:c={'5.1' if channels == 6 else 'stereo'}:d=2"]
        at = maps.count("-map") - 2
        words += [f"-metadata:s:a:{at}", f"language={language}", f"-metadata:s:a:{at}", f"title={title}"]
        words += [f"-metadata:s:a:{at}", f"handler_name={title}", f"-metadata:s:a:{at}", f"NOTE={ODD}"] if mkv else []
        words += [f"-disposition:a:{at}", {0: "default", 3: "comment"}.get(at, "0")]
    for at, (language, disposition, title) in enumerate(SUBTITLES):
        (folder / f"{at}.srt").write_text(f"1\n00:00:00,200 --> 00:00:01,000\nLine {at}\n")
        maps += ["-map", f"{inputs.count('-i')}:s"]
        inputs += ["-i", folder / f"{at}.srt"]
        words += [f"-metadata:s:s:{at}", f"language={language}", f"-disposition:s:{at}", disposition]
        words += [f"-metadata:s:s:{at}", f"{'title' if mkv else 'handler_name'}={title}"]
    if mkv:
        maps += ["-map", f"{inputs.count('-i')}:s"]
        inputs += ["-i", pgs(folder / "pgs.sup")]
        words += ["-c:s:2", "copy", "-metadata:s:s:2", "language=ger"]
    picture = folder / "cover.jpg"
    films.run_ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x96:duration=1:rate=1", "-frames:v", 1, picture)
    if mkv:
        for at, name in enumerate(("First = 1.ttf", "Zweite.otf")):
            (folder / name).write_bytes(b"\x00\x01\x00\x00" + bytes([at]) * 5000)
            words += ["-attach", folder / name, f"-metadata:s:t:{at}", "mimetype=application/x-truetype-font"]
        words += ["-attach", picture, "-metadata:s:t:2", "mimetype=image/jpeg", "-metadata:s:t:2", "filename=cover.jpg"]
    else:
        maps += ["-map", f"{inputs.count('-i')}:v"]
        inputs += ["-i", picture]
        words += ["-c:v:1", "copy", "-disposition:v:1", "attached_pic", "-tag:v:0", "hvc1"]
    words += ["-metadata", f"title={ODD[:200]}", "-metadata", f"comment={ODD}"]
    words += ["-metadata", f"A;odd 'name'={ODD}"] if mkv else []
    films.run_ffmpeg(
        *(*inputs, *maps, "-map_chapters", 0, "-c:v:0", "libx265", "-preset", "ultrafast"),
        *("-x265-params", HDR, "-pix_fmt:v:0", "yuv420p10le", "-c:a", "ac3", "-c:a:1", "eac3", "-c:a:2", "aac"),
        *("-c:s:0", "srt" if mkv else "mov_text", "-c:s:1", "srt" if mkv else "mov_text", *words, path),
    )
    return path


def told(path):
    """Give what ffprobe tells, without what is the muxer's own."""
    asked = ["-show_format", "-show_streams", "-show_chapters", "-show_data_hash", "md5"]
    command = ["ffprobe", "-v", "error", *asked, "-of", "json", path]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def plain(described, *, packets):
    kept = {key: value for key, value in described.items() if key not in MUXERS_OWN | {"time_base"}}
    if packets:
        kept.pop("extradata", None)
        kept.pop("extradata_hash", None)
    kept["tags"] = {k.lower(): v for k, v in described.get("tags", {}).items() if k.lower() not in MUXERS_TAGS}
    return kept


@pytest.mark.parametrize("container", ["mkv", "mp4"])
async def test_a_film_with_everything_is_told_of_as_before(tmp_path, container):
    """HDR10, four sound tracks, signs, PGS, fonts, cover, chapters, and tags that try to break out."""
    film = everything(tmp_path / f"film.{container}")
    done = await making.make(await tools.find_tools(), film, tmp_path / ".watcher-test.tmp")
    before, after = told(done.film), told(done.temp)
    made = after["streams"].pop(done.made.index)
    assert (made["codec_name"], made["channels"], made["tags"]["language"]) == ("aac", 2, "eng")
    kinds = [s["codec_type"] for s in before["streams"]]
    assert kinds.count("audio") == 4
    assert kinds.count("attachment") == (2 if container == "mkv" else 0)
    assert before["streams"][0]["color_transfer"] == "smpte2084"
    for was, now in zip(before["streams"], after["streams"], strict=True):
        packets = was["codec_type"] != "attachment"
        assert plain(now, packets=packets) == plain(was, packets=packets)
    assert plain(after["format"], packets=True) == plain(before["format"], packets=True)
    assert [c["tags"] for c in after["chapters"]] == [c["tags"] for c in before["chapters"]]
    assert len(after["chapters"]) == 2
    odd = {key.lower(): value for key, value in after["format"]["tags"].items()}
    assert odd["comment"] == ODD
