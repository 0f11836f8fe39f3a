"""media/containers/framing and media/packets: what stands between the data is looked at from beginning to end."""

import os
import random
import subprocess

import clips
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.media import integrity, packets, sparse, structure
from watcher.media.containers import framing
from watcher.rules.statuses import IntegrityStatus, Mode, Reason


def faults_of(content, container, chunk_bytes=1 << 20, packet_bytes=0):
    """Feed these bytes in chunks, as the scan for zeros does."""
    looking = framing.of(container, packet_bytes)
    for at in range(0, len(content), chunk_bytes):
        looking.look(at, content[at : at + chunk_bytes])
    return looking.faults


@pytest.mark.parametrize(("kind", "container"), [("mkv", "matroska"), ("webm", "webm"), ("ts", "mpegts")])
def test_an_intact_film_has_no_faults_however_it_is_cut_into_chunks(kind, container, tmp_path):
    """Also from where the payload begins, and with a live recording's clusters of unknown size."""
    content = clips.content(kind)
    for chunk_bytes in (13, 1000, 4096, 1 << 20):
        assert faults_of(content if kind == "ts" else content[head_bytes(kind) :], container, chunk_bytes).count == 0
    looking = framing.of(container)
    payload = structure.walk(bytes(clips.path(kind))).payload
    sparse.scan(bytes(clips.path(kind)), payload, whole=True, look=looking.look)
    assert looking.faults.count == 0


@pytest.mark.parametrize(("kind", "container"), [("adts", "aac"), ("ac3", "ac3")])
@pytest.mark.parametrize("chunk_bytes", [7, 1000, 1 << 20])
def test_sound_whose_frames_do_not_lead_to_each_other_is_found(kind, container, chunk_bytes):
    """A demuxer looks for the next frame, and says nothing."""
    content = clips.content(kind)
    assert faults_of(content, container, chunk_bytes).count == 0
    half = len(content) // 2
    faults = faults_of(content[:half] + random.Random(4).randbytes(900) + content[half + 900 :], container, chunk_bytes)
    assert faults.count == 1
    assert half <= faults.at < half + 9000


def head_bytes(kind):
    return structure.walk(bytes(clips.path(kind))).payload[0][0]


def test_a_live_recording_has_no_faults(tmp_path):
    """Its clusters do not say how long they are; the next one ends them."""
    live = tmp_path / "live.mkv"
    clips.ffmpeg("-i", str(clips.path("mkv")), "-c", "copy", "-f", "matroska", "-live", "1", str(live))
    looking = framing.of("matroska")
    sparse.scan(bytes(live), structure.walk(bytes(live)).payload, whole=True, look=looking.look)
    assert looking.faults.count == 0


@pytest.mark.parametrize("chunk_bytes", [500, 1 << 20])
def test_one_changed_bit_in_a_cluster_is_found_by_its_checksum(chunk_bytes):
    """The place told is where the cluster's content begins."""
    content = bytearray(clips.content("mkv")[head_bytes("mkv") :])
    at = len(content) * 2 // 3
    content[at] ^= 16
    faults = faults_of(bytes(content), "matroska", chunk_bytes)
    assert faults.count == 1
    assert faults.at <= at
    assert "checksum" in faults.told()


@pytest.fixture(scope="module")
def with_a_font(tmp_path_factory):
    """A film that brings a file of 200 KB along, as FFmpeg writes it and without its checksums, as mkvmerge does."""
    folder = tmp_path_factory.mktemp("fonts")
    (folder / "font.ttf").write_bytes(random.Random(8).randbytes(200_000))
    for name, sums in (("summed.mkv", "1"), ("plain.mkv", "0")):
        font = ("-attach", str(folder / "font.ttf"), "-metadata:s:t", "mimetype=font/ttf")
        clips.ffmpeg("-i", str(clips.path("mkv")), "-c", "copy", *font, "-write_crc32", sums, str(folder / name))
    return folder


@pytest.mark.parametrize(
    ("name", "lost", "reason"), [("summed.mkv", 1, Reason.DAMAGED), ("plain.mkv", 1 << 17, Reason.ZEROS)]
)
async def test_what_a_film_brings_along_is_part_of_it(ours, with_a_font, tmp_path, name, lost, reason):
    """No decoder sees a font: its checksum does, and so do pieces that were never filled."""
    film = tmp_path / "film.mkv"
    content = bytearray((with_a_font / name).read_bytes())
    film.write_bytes(content)
    whole = (await integrity.check(ours, os.fsencode(film), Mode.FULL)).verdict
    assert (whole.status, whole.notes) == (IntegrityStatus.COMPLETE, ()), whole
    ((start, end),) = structure.walk(os.fsencode(film)).attached
    at = (start + (end - start) // 4) & ~4095
    content[at : at + lost] = bytes(lost)
    content[at] = content[at] ^ 1 if lost == 1 else 0
    film.write_bytes(content)
    verdict = (await integrity.check(ours, os.fsencode(film), Mode.FULL)).verdict
    assert (verdict.status, verdict.reason) == (IntegrityStatus.INCOMPLETE, reason), verdict
    assert "attachments" in verdict.evidence[0]


@pytest.mark.parametrize("chunk_bytes", [500, 1 << 20])
def test_blocks_that_do_not_lead_to_each_other_are_found_without_a_checksum(chunk_bytes):
    """Garbage over several blocks; the clusters behind it are in order again, so one place is told."""
    content = bytearray(clips.content("webm")[head_bytes("webm") :])
    at = len(content) // 2
    content[at : at + 3000] = random.Random(5).randbytes(3000)
    faults = faults_of(bytes(content), "webm", chunk_bytes)
    assert faults.count == 1
    assert at - 20_000 < faults.at < at + 3000


def test_a_transport_stream_that_loses_its_step_is_found_once():
    """Bytes that are not there any more, garbage, a page of zeros: each is one place."""
    content = clips.content("ts")
    at = len(content) // 2
    for damaged in (
        content[:at] + content[at + 100 :],
        content[:at] + random.Random(6).randbytes(2000) + content[at + 2000 :],
        content[:at] + bytes(4096) + content[at + 4096 :],
    ):
        for chunk_bytes in (700 * 188, 1 << 20):
            faults = faults_of(damaged, "mpegts", chunk_bytes)
            assert faults.count == 1
            assert at <= faults.at < at + 376
    m2ts = b"".join(b"\0\0\0\0" + content[n : n + 188] for n in range(0, len(content), 188))
    assert faults_of(m2ts, "mpegts").count == 0


@pytest.mark.parametrize("chunk_bytes", [13, 1000, 1 << 20])
def test_a_chunk_of_avi_leads_to_the_next(chunk_bytes):
    """Some writers leave out the byte that makes sizes even, or fill up with zeros; garbage and lost bytes are a fault."""
    ((start, end),) = structure.walk(bytes(clips.path("avi"))).payload
    content = clips.content("avi")[start:end]
    odd = b"01wb" + (5).to_bytes(4, "little") + b"sound"
    middle = len(content) // 2
    for intact in (content, b"movi" + odd * 99, b"movi" + (odd + b"\0") * 99, b"movi" + (odd + bytes(701)) * 99):
        assert faults_of(intact, "avi", chunk_bytes).count == 0
    for damaged in (
        content[:middle] + random.Random(6).randbytes(9000) + content[middle + 9000 :],
        content[:middle] + content[middle + 1000 :],
        content[:middle] + bytes(9000) + content[middle + 9000 :],
    ):
        faults = faults_of(damaged, "avi", chunk_bytes)
        assert faults.count == 1
        assert middle - 4000 < faults.at < middle + 12_000


@pytest.mark.parametrize("chunk_bytes", [13, 5000, 1 << 20])
def test_packets_of_asf_begin_alike(chunk_bytes):
    """Where they have no flags of error correction nothing is concluded."""
    found = structure.walk(bytes(clips.path("wmv")))
    ((start, end),) = found.payload
    content = clips.content("wmv")[start:end]
    assert found.packet_bytes == 3200
    assert faults_of(content, "asf", chunk_bytes, 3200).count == 0
    for damage in (bytes(4096), random.Random(6).randbytes(9000)):
        middle = len(content) // 2
        faults = faults_of(content[:middle] + damage + content[middle + len(damage) :], "asf", chunk_bytes, 3200)
        assert faults.count == 1
        assert middle <= faults.at < middle + len(damage)
    assert faults_of(bytes(100) + random.Random(7).randbytes(9000), "asf", chunk_bytes, 100).count == 0


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["matroska", "mpegts", "aac", "avi", "asf"]), st.data())
def test_no_bytes_make_it_raise_or_hang(container, data):
    """Random bytes, real films with bytes changed, chunks of any size, gaps between them."""
    real = clips.content({"matroska": "mkv", "mpegts": "ts", "aac": "adts", "avi": "avi", "asf": "wmv"}[container])[
        :20_000
    ]
    content = bytearray(data.draw(st.binary(max_size=1000) | st.just(real)))
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 255)), max_size=9)):
        if at < len(content):
            content[at] = value
    looking, at = framing.of(container, 320), 0
    while at < len(content):
        length = data.draw(st.sampled_from((1, 12, 100, 4096, 20_000)))
        looking.look(at, bytes(content[at : at + length]))
        at += length + data.draw(st.sampled_from((0, 0, 0, 5, 600)))
    assert looking.faults.at is None or looking.faults.count


def test_zeros_hit_a_packet_of_which_they_take_a_good_part():
    """ffprobe's stream, size and position; a frame of silence is too short to tell, and "N/A" tells nothing."""
    listing = b"0,5000,100\n1,200,5100,\n0,N/A,9000\n0,300,20000,side data\n1,40,30000\nnonsense\n"
    assert packets.first_hit(listing, [(4000, 4900)], {0: "h264"}) is None
    assert packets.first_hit(listing, [(3000, 4900)], {0: "h264"}) == (0, 3000)
    assert packets.first_hit(listing, [(3000, 9000)], {1: "opus"}) == (1, 5100)
    assert packets.first_hit(listing, [(20_500, 30_100), (19_000, 20_400)], {0: "h264", 1: "opus"}) == (0, 20_000)
    assert packets.first_hit(listing, [(29_000, 33_000)], {1: "opus"}) is None


def test_the_list_of_packets_is_ffprobes(tmp_path):
    """Whatever the film's name, and in the order of fields that we read."""
    film = tmp_path / "-i, %03d.mkv"
    film.write_bytes(clips.content("mkv"))
    found = list(packets.places(subprocess.check_output(packets.command(_Tools, os.fsencode(film)))))
    content = clips.content("mkv")
    assert len(found) > 40
    assert all(0 < at < at + size <= len(content) for _, at, size in found)


class _Tools:
    ffprobe = "ffprobe"
