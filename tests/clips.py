"""Tiny films for the tests of media/: made once a session by FFmpeg, and the bytes of them."""

import functools
import subprocess
import tempfile
from pathlib import Path

_FOLDER = tempfile.TemporaryDirectory(prefix="clips-")
_VIDEO = ("-f", "lavfi", "-i", "testsrc=size=160x120:rate=10")
_AUDIO = ("-f", "lavfi", "-i", "anoisesrc=sample_rate=44100:amplitude=0.3:seed=7")
_X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-pix_fmt", "yuv420p")
KINDS = {
    "mp4": ("film.mp4", (*_X264, "-c:a", "aac")),
    "faststart": ("fast.mp4", (*_X264, "-c:a", "aac", "-movflags", "+faststart")),
    "fragmented": (
        "fragments.mp4",
        (*_X264, "-c:a", "aac", "-movflags", "+frag_keyframe+empty_moov+default_base_moof"),
    ),
    "mov": ("film.mov", (*_X264, "-c:a", "aac")),
    "mkv": ("film.mkv", (*_X264, "-c:a", "ac3", "-cluster_time_limit", "500")),
    "webm": (
        "film.webm",
        ("-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libvorbis", "-cluster_time_limit", "500"),
    ),
    "avi": ("film.avi", ("-c:v", "mpeg4", "-c:a", "mp3")),
    "flv": ("film.flv", ("-c:v", "flv", "-c:a", "mp3")),
    "ts": ("film.ts", (*_X264, "-c:a", "aac")),
    "ogv": ("film.ogv", ("-c:v", "libtheora", "-c:a", "libvorbis")),
    "wmv": ("film.wmv", ("-c:v", "wmv2", "-c:a", "wmav2")),
    "mpg": ("film.mpg", ("-c:v", "mpeg2video", "-c:a", "mp2")),
}
SOUNDS = {
    "mp3": ("sound.mp3", ("-c:a", "libmp3lame", "-q:a", "4")),
    "flac": ("sound.flac", ("-c:a", "flac")),
    "adts": ("sound.aac", ("-c:a", "aac")),
    "ac3": ("sound.ac3", ("-c:a", "ac3")),
    "wav": ("sound.wav", ("-c:a", "pcm_s16le")),
}


def ffmpeg(*arguments):
    """Run ffmpeg; the test fails when it does."""
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments], check=True)


def probe(*arguments):
    """Give what ffprobe prints."""
    return subprocess.run(["ffprobe", "-v", "error", *arguments], check=True, capture_output=True).stdout


@functools.cache
def path(kind, seconds=2):
    """Give the film, or the sound, of a kind."""
    name, options = (KINDS | SOUNDS)[kind]
    target = Path(_FOLDER.name, f"{seconds}-{name}")
    ffmpeg(*(_VIDEO if kind in KINDS else ()), *_AUDIO, "-t", str(seconds), *options, str(target))
    return target


@functools.cache
def content(kind):
    """Give its bytes."""
    return path(kind).read_bytes()
