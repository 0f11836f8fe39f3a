"""FLAC (RFC 9639): a header that counts the samples, and numbered frames, so that the last one tells whether it is the last.

Whole means: the frame with the last sample is there, and its checksum holds up to its end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

from watcher.media.containers.base import Reader, Structure, bad, cut, trailer_bytes, unfilled_tail

_STREAMINFO: Final = 0
_METADATA_BLOCKS: Final = 256
_TAIL_BYTES: Final = 1 << 20
"""Looked through for the last frame: 24-bit stereo has 40 KB in one, eight channels 400 KB."""
_BLOCK_SIZES: Final = (0, 192, 576, 1152, 2304, 4608, 0, 0, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)


class _Info(NamedTuple):
    block_size: int
    """Samples of every frame but the last; used where frames are numbered and not samples."""
    sample_rate: int
    samples: int
    """Of one channel; 0 when the writer did not know."""
    sample_bits: int
    md5: bytes
    """Of all samples; sixteen zeros when the writer did not know."""


class _Frame(NamedTuple):
    start: int
    end_sample: int


def walk(reader: Reader, start: int = 0) -> Structure:
    """Read the metadata and the last frame. `start` is where "fLaC" stands."""
    info, first = _metadata(reader, start + 4)
    if info is None or first >= reader.size:
        return cut(reader, "flac", first, "its metadata") if first > reader.size else _header_only(reader)
    sync = reader.at(first, 2)
    if sync not in {b"\xff\xf8", b"\xff\xf9"}:
        return bad(reader, "flac", first, "frame")
    declared = info.samples / info.sample_rate if info.samples and info.sample_rate else None
    everything = ((first, max(first, reader.size - trailer_bytes(reader))),)
    found = _judge(reader, info, first, sync, declared)
    payload, md5 = found.payload or everything, info.md5.hex() if any(info.md5) else ""
    return replace(
        found, container="flac", declared_sec=declared, payload=payload, sound_md5=md5, sample_bits=info.sample_bits
    )


def _header_only(reader: Reader) -> Structure:
    return Structure("cut", "flac", offset=reader.size, reasons=("a header without sound",))


def _metadata(reader: Reader, offset: int) -> tuple[_Info | None, int]:
    """Give the stream's description and where the first frame must stand."""
    info: _Info | None = None
    for _ in range(_METADATA_BLOCKS):
        head = reader.at(offset, 4)
        if len(head) < 4:
            break
        if head[0] & 0x7F == _STREAMINFO:
            body = reader.at(offset + 4, 34)
            packed = int.from_bytes(body[10:18], "big")
            rate, bits, samples = packed >> 44, (packed >> 36 & 31) + 1, packed & (1 << 36) - 1
            info = _Info(int.from_bytes(body[2:4], "big"), rate, samples, bits, body[18:34])
        offset += 4 + int.from_bytes(head[1:], "big")
        if head[0] & 0x80:
            break
    return info, offset


def _judge(reader: Reader, info: _Info, first: int, sync: bytes, declared: float | None) -> Structure:
    if not info.samples:
        return Structure("unknown", reasons=("its header does not count the samples",))
    end = reader.size - trailer_bytes(reader)
    start = max(first, end - _TAIL_BYTES)
    tail = reader.at(start, end - start)
    last, unfilled = _last_frame(tail, sync, info), unfilled_tail(tail, start)
    if last is None:
        return unfilled or Structure("unknown", reasons=(f"no frame in its last {len(tail):,} bytes",))
    if last.end_sample < info.samples:
        reached = last.end_sample / info.sample_rate if info.sample_rate else 0.0
        reason = f"its last frame ends at {reached:.1f} s of {declared or 0:.1f} s"
        return unfilled or Structure("cut", offset=reader.size, reasons=(reason,))
    frame_end = _checked_end(tail, last.start)
    if frame_end is None:
        return unfilled or Structure("cut", offset=start + last.start, reasons=("its last frame is not there in full",))
    extra = len(tail) - frame_end
    notes = (f"{extra:,} bytes of something else at the end",) if extra else ()
    return Structure("whole", payload=((first, start + frame_end),), notes=notes)


def _last_frame(tail: bytes, sync: bytes, info: _Info) -> _Frame | None:
    """Find the frame with the last sample; else the last one of all."""
    found: _Frame | None = None
    at = tail.rfind(sync)
    while at >= 0:
        end_sample = _end_sample(tail[at : at + 16], info)
        if end_sample == info.samples:
            return _Frame(at, end_sample)
        if end_sample and end_sample < info.samples and found is None:
            found = _Frame(at, end_sample)
        at = tail.rfind(sync, 0, at + 1)
    return found


def _end_sample(head: bytes, info: _Info) -> int:
    """Give the number of the sample behind a frame; 0 when these bytes are no frame's head."""
    if len(head) < 6 or head[3] & 1:
        return 0
    ones = 8 - (head[4] ^ 0xFF).bit_length()
    if ones == 1 or ones > 7:
        return 0
    at = 4 + max(ones, 1)
    number = head[4] & (0x7F >> ones)
    for byte in head[5:at]:
        if byte & 0xC0 != 0x80:
            return 0
        number = number << 6 | byte & 0x3F
    size_code, rate_code = head[2] >> 4, head[2] & 15
    size = _BLOCK_SIZES[size_code]
    if size_code in {6, 7}:
        size = int.from_bytes(head[at : at + size_code - 5], "big") + 1
        at += size_code - 5
    at += {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if not size or at >= len(head) or _crc(head[: at + 1], _CRC8, 8):
        return 0
    return (number if head[1] & 1 else number * info.block_size) + size


def _checked_end(tail: bytes, start: int) -> int | None:
    """Give where a frame's checksum makes nought of it: at the tail's end, or before something else."""
    crc, ends = 0, []
    for at in range(start, len(tail)):
        crc = (crc << 8 & 0xFFFF) ^ _CRC16[crc >> 8 ^ tail[at]]
        if not crc:
            ends.append(at + 1)
    # By chance it is nought once in 65,536 bytes, so the end of the file is likelier than any other place; and zeros
    # behind the frame leave it at nought.
    filled = len(tail.rstrip(b"\0"))
    at_the_end = [end for end in ends if end >= filled]
    return min(at_the_end or ends, default=None)


def _table(polynomial: int, bits: int) -> tuple[int, ...]:
    top, mask, values = 1 << bits - 1, (1 << bits) - 1, []
    for byte in range(256):
        value = byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & mask
        values.append(value)
    return tuple(values)


def _crc(data: bytes, table: tuple[int, ...], bits: int) -> int:
    value = 0
    for byte in data:
        value = (value << 8 & (1 << bits) - 1) ^ table[value >> bits - 8 ^ byte]
    return value


_CRC8: Final = _table(0x07, 8)
_CRC16: Final = _table(0x8005, 16)
