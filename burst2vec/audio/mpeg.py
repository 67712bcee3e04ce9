"""The frames of an MP3, counted without decoding one: how much sound the file holds (ISO/IEC 11172-3 and 13818-3).

Every MPEG frame begins with a header of four bytes, from which follow its length in bytes and its number of samples, so
a file can be walked from frame to frame. libsndfile does not: where the first frame does not tell how many follow (a
"Xing" or "Info" frame), it divides the file's length by that of the first frame, and reads no further than this guess.
"""

from functools import cache
from itertools import product
from typing import NamedTuple

MOST_BYTES_PER_SECOND = 448_000 // 8  # Layer I; Layer III ends at 320 kbit/s
_MOST_TAGS = 8  # in front of the sound; a file has one
_SEARCHED = 1 << 16  # bytes in which the first frame must begin

_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # MPEG-1, -2, -2.5
_KBITS = {  # from index 1 on, by whether it is MPEG-1, and by layer; index 0 is a rate that the header does not tell
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


class MpegSound(NamedTuple):
    """What an MPEG stream holds.

    Attributes:
        frames: whole ones that follow one another, without a first one that only tells of the others.
        samples: of all of them, per channel; what a decoder gives that drops none.
        claimed: how many frames the first one tells of; None where it does not.
        fault: in words, where sound was cut off, or goes on behind what is no frame; else "".
    """

    frames: int
    samples: int
    claimed: int | None
    fault: str


def mpeg_sound(file, most_seconds: float) -> MpegSound:
    """Walk the frames of an MP3, whatever tags stand before and behind them.

    Args:
        file: open for reading, binary; its position is kept.
        most_seconds: of sound; once there are more, walk no further.

    >>> import io
    >>> frame = b"\\xff\\xfb\\x90\\xc4" + bytes(413)  # MPEG-1, Layer III, 128 kbit/s, 44.1 kHz, one channel
    >>> mpeg_sound(io.BytesIO(3 * frame), 60)
    MpegSound(frames=3, samples=3456, claimed=None, fault='')
    >>> mpeg_sound(io.BytesIO(3 * frame + frame[:100]), 60).fault
    'frame 4 has 100 of its 417 bytes'
    """
    position = file.tell()
    file.seek(_behind_tags(file))
    content = file.read(int(most_seconds * MOST_BYTES_PER_SECOND) + _SEARCHED)
    file.seek(position)

    place = _first_frame(content)
    if place is None:
        return MpegSound(0, 0, None, "it holds no MPEG frame of a known length")
    first = content[place : place + 3]
    lengths = _lengths_like(first)
    samples_each, rate = _samples_and_rate(first)
    tells, claimed = _first_tells(content[place : place + lengths[first]])
    if tells:
        place += lengths[first]
    frames, most_frames, begun = 0, most_seconds * rate / samples_each, place
    while frames <= most_frames and (length := lengths.get(content[place : place + 3])):
        frames += 1
        begun, place = place, place + length
    if place > len(content):
        fault = f"frame {frames} has {len(content) - begun} of its {place - begun} bytes"
        frames -= 1
    elif first.startswith(content[place:]) and place < len(content):
        fault = f"frame {frames + 1} has {len(content) - place} bytes"
    else:
        fault = "" if frames > most_frames else _sound_further_on(content, place, lengths)
    return MpegSound(frames, frames * samples_each, claimed, fault)


def _behind_tags(file) -> int:
    """Where the ID3v2 tags end that stand in front."""
    place = 0
    for _ in range(_MOST_TAGS):
        file.seek(place)
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3":
            break
        length = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
        place += 10 + length + (10 if head[5] & 0x10 else 0)  # four times seven bits; a footer where that flag is set
    return place


def _first_frame(content: bytes) -> int | None:
    """Where the first frame begins: with others like it behind, or else at the front."""
    place = _pair_of_frames(content[:_SEARCHED], 0)
    return 0 if place is None and content[:3] in _lengths_like(content[:3]) else place


def _sound_further_on(content: bytes, place: int, lengths: dict[bytes, int]) -> str:
    further = _pair_of_frames(content, place, lengths)
    return "" if further is None else f"byte {place} begins no frame, and byte {further} does, after the tags in front"


def _pair_of_frames(content: bytes, start: int, lengths: dict[bytes, int] | None = None) -> int | None:
    """Where, from ``start`` on, a frame stands that a like one follows, or that ends the file; chance makes no such.

    Args:
        lengths: of the frames that are looked for, see ``_lengths_like``; by default any.
    """
    place = content.find(0xFF, start)
    while place >= 0:
        head = content[place : place + 3]
        alike = _lengths_like(head) if lengths is None else lengths
        if head in alike:
            end = place + alike[head]
            if end == len(content) or content[end : end + 3] in alike:
                return place
        place = content.find(0xFF, place + 1)
    return None


def _first_tells(frame: bytes) -> tuple[bool, int | None]:
    """Whether a frame holds no sound but tells of those that follow, and, if it does, how many those are.

    It says so behind the side information, whose length depends on version and channels. A "VBRI" frame is not meant:
    libsndfile takes it for sound.
    """
    mpeg_1, one_channel = frame[1] & 0x18 == 0x18, frame[3] & 0xC0 == 0xC0
    place = 4 + {(True, True): 17, (True, False): 32, (False, True): 9, (False, False): 17}[mpeg_1, one_channel]
    tells = frame[place : place + 4] in (b"Xing", b"Info") and _layer(frame) == 3
    counts = tells and len(frame) >= place + 12 and frame[place + 7] & 1
    return tells, int.from_bytes(frame[place + 8 : place + 12], "big") or None if counts else None


def _lengths_like(head: bytes) -> dict[bytes, int]:
    """Bytes of a frame by the first three of its header, of all in a stream that has a frame with such a ``head``.

    They agree in version, layer and sampling rate. Empty where ``head`` begins no frame.
    """
    if len(head) < 3 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return {}
    return _lengths(head[1] >> 3 & 3, _layer(head), head[2] >> 2 & 3)


@cache
def _lengths(version: int, layer: int, rate_index: int) -> dict[bytes, int]:
    if version not in _RATES or layer == 4 or rate_index == 3:
        return {}
    lengths = {}
    rate = _RATES[version][rate_index]
    indices = enumerate(_KBITS[version == 3, layer], start=1)
    for (index, kbits), padding, private, no_checksum in product(indices, (0, 1), (0, 1), (0, 1)):
        head = 0xFF, 0xE0 | version << 3 | (4 - layer) << 1 | no_checksum, index << 4 | rate_index << 2 | padding << 1
        if layer == 1:
            length = 4 * (12_000 * kbits // rate + padding)  # slots of four bytes
        else:
            length = _samples(version, layer) // 8 * 1_000 * kbits // rate + padding
        lengths[bytes(head[:2]) + bytes([head[2] | private])] = length
    return lengths


def _samples_and_rate(head: bytes) -> tuple[int, int]:
    """Samples per channel of a frame, and Hz."""
    version = head[1] >> 3 & 3
    return _samples(version, _layer(head)), _RATES[version][head[2] >> 2 & 3]


def _samples(version: int, layer: int) -> int:
    return {1: 384, 2: 1_152, 3: 1_152 if version == 3 else 576}[layer]


def _layer(head: bytes) -> int:
    return 4 - (head[1] >> 1 & 3)
