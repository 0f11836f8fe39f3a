"""media/refusals and media/faults: trouble of the machine is told from trouble with the film."""

import errno

import pytest

from watcher.errors import ConversionFailed
from watcher.media import faults, refusals
from watcher.media.ffmpeg import Finished


def finished(*lines, code=1, ended="exit"):
    return Finished(code, b"", lines, len(lines), 0.1, ended, spoke=any("[error]" in line for line in lines))


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (finished("[out#0] [error] av_interleaved_write_frame(): No space left on device"), "no_space"),
        (finished("[error] Error writing trailer: No space left on device", code=0), "no_space"),
        (finished("[error] file:/x: Disk quota exceeded"), "no_space"),
        (finished("[error] file:/x: Read-only file system"), "read_only"),
        (finished("[error] file:/x: Permission denied"), "permission"),
        (finished("[matroska] [error] Input/output error", code=0), "io_error"),
        (finished(code=-15, ended="timeout"), "timeout"),
        (finished(code=-15, ended="stalled"), "stalled"),
        (finished(code=-9, ended="killed"), "killed"),
        (finished("[mp4] [error] Could not find tag for codec pcm_s16le in stream #1"), "unsupported_streams"),
        (finished("[framehash] [error] dimensions not set"), "unsupported_streams"),
        (finished("[error] Invalid data"), "ffmpeg_failed"),
        (finished(), "tool_missing"),
        (finished("ffmpeg: error while loading shared libraries: libx264.so.164", code=127), "tool_missing"),
        (finished("[error] Unrecognized option 'fps_mode'."), "tool_missing"),
        (finished("[dec:h264 @ 0x1] [error] pthread_create() failed: x", code=0), "out_of_memory"),
        (finished("sh: 1: Cannot fork", code=2), "out_of_memory"),
        (finished(code=255), "killed"),
        (finished("[aac @ 0x1] [error] Operation not permitted", code=255), "ffmpeg_failed"),
    ],
)
def test_the_word_for_what_happened(end, reason):
    """The words of a full disk count even when FFmpeg ends with success."""
    with pytest.raises(ConversionFailed, match="making the track") as failed:
        refusals.require_success(end, "making the track")
    assert failed.value.reason == reason


def test_an_input_output_error_is_not_yet_the_disks():
    """FFmpeg says it of content, too; of all other words only the machine is the cause, whatever the exit code."""
    said = finished("[matroska @ 0x1] [error] Read error", "[error] file:x: Input/output error", code=0)
    assert faults.of(said) is None
    assert faults.may_be_the_disk(said)
    assert faults.of(finished("[error] file:x: Stale file handle", code=0)).word == "io_error"


def test_complaints_about_the_film_are_no_failure_when_it_ends_well():
    """The proof decides, not a decoder's line."""
    refusals.require_success(finished("[ac3] [error] frame sync error", code=0), "making the track")


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "no_space"),
        (errno.EDQUOT, "no_space"),
        (errno.EROFS, "read_only"),
        (errno.EACCES, "permission"),
        (errno.EIO, "io_error"),
    ],
)
def test_the_systems_numbers_have_words(number, reason):
    """An OSError becomes the same words."""
    assert refusals.of_os_error(OSError(number, "x"), "what").reason == reason
