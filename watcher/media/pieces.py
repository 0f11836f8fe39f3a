"""The pieces in which an AAC track is made, and how they join, exact to the sample and to the byte.

Pure. One FFmpeg decodes the sound from its beginning and gives each piece to an encoder of its own, so that no position
is ever sought: a piece begins at a fixed sample, whichever of them are still to be made. An encoder's first frames
depend on what it has seen of the sound, so a piece begins seconds early, and these frames are dropped; what it makes
then is the same every time, and as good as what one pass makes. Its last frames look ahead, so it hears a little more
than it gives.

    sound      |--------------------------------------------------------------
    piece 0    |=========================..
    piece 1                           ---=========================..
    piece 2                                                   ---=============
                    - dropped: WARM_UP frames     . heard only: AHEAD frames

ADTS puts each frame's length before it: frames can be counted, cut and joined as bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

FRAME: Final = 1024
"""Samples of an AAC frame."""
WARM_UP: Final = 188
"""Frames, four seconds of them at 48 kHz. The encoder's control of the bit rate finds its level slowly: against one pass,
music and speech behind a joint lost 3.3 dB on average over two seconds with 47 frames, 1.7 with these, and 1.3 with 470.
Never was the noise at a joint less than 25 dB below the sound, which one pass has in many places."""
AHEAD: Final = 2
"""Frames. FFmpeg's encoder decides about one by the next, and gives it when that has come."""
SHORTEST_SEC: Final = 240.0
"""What an interruption costs at most is a piece, half a minute of a small NAS; and each costs four seconds more of encoding,
which is less than a fiftieth."""
MOST: Final = 48
"""Encoders in one FFmpeg: each takes 2 MB. Of films up to three hours it is no limit."""
_SPLIT_SAMPLES: Final = 32_768
"""Of a block that is handed to all pieces: small ones would cost a tenth of the whole."""
_HEADER_BYTES: Final = 7


@dataclass(frozen=True, slots=True)
class Cuts:
    """Where a track is cut."""

    frames: int
    """Of each piece, but for the last: it goes on to the end of the sound, wherever that is."""
    count: int

    @classmethod
    def of(cls, duration_sec: float | None, sample_rate: int) -> Cuts:
        """Choose by the film's length; one that is not known, or is short, makes one piece."""
        if duration_sec is None:
            return cls(0, 1)
        seconds = max(SHORTEST_SEC, duration_sec / MOST)
        return cls(int(seconds * sample_rate / FRAME), max(1, int(duration_sec / seconds)))

    def filter(self, sound: str, stream: int, todo: Sequence[int]) -> str:
        """Give the graph that turns a stream of the first input into the pieces to be made: outputs `[p3]`, `[p4]`, ..."""
        split = "".join(f"[s{number}]" for number in todo)
        whole = f"[0:{stream}]{sound},asetnsamples=n={_SPLIT_SAMPLES}:p=0,asplit={len(todo)}{split}"
        return ";".join([whole, *(f"[s{number}]{self._trim(number)}[p{number}]" for number in todo)])

    def _trim(self, number: int) -> str:
        # The times stay those of the film, so that FFmpeg's reports of its position mean something.
        start = max(0, number * self.frames - WARM_UP) * FRAME
        end = "" if number == self.count - 1 else f":end_sample={((number + 1) * self.frames + AHEAD) * FRAME}"
        return f"atrim=start_sample={start}{end}"

    def piece(self, number: int) -> Piece:
        """Give the piece that takes in what its encoder makes."""
        return Piece(WARM_UP if number else 0, None if number == self.count - 1 else self.frames)


class Piece:
    """Takes in ADTS as it comes, and keeps the frames that are this piece's."""

    def __init__(self, dropped: int, wanted: int | None) -> None:
        self._dropped = dropped
        self._wanted = wanted
        self._seen = 0
        self._rest = b""
        self.data = bytearray()
        """Of whole frames."""
        self.frames = 0
        self.broken = False
        """Something came that is no ADTS."""

    @property
    def full(self) -> bool:
        """Whether all its frames are there; the last piece never knows."""
        return self.frames == self._wanted

    def take(self, chunk: bytes) -> None:
        """Take in the next bytes."""
        data, at = self._rest + chunk, 0
        while not self.broken and len(data) - at >= _HEADER_BYTES:
            # 13 bits of a frame's length, its header included, lie across three bytes (ISO/IEC 13818-7, 6.2).
            size = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
            if data[at] != 0xFF or size < _HEADER_BYTES:
                self.broken = True
            elif len(data) - at < size:
                break
            else:
                self._frame(data[at : at + size])
                at += size
        self._rest = data[at:]

    def _frame(self, frame: bytes) -> None:
        self._seen += 1
        if self._seen > self._dropped and not self.full:
            self.data += frame
            self.frames += 1
