"""Headers that contradict themselves or the file they stand in: such a clip decodes, perhaps to another sound.

libsndfile believes some fields and overlooks others: where a header says one channel of two bytes a sample, and four
bytes a frame, it takes one reading in silence. Here nothing is decoded and nothing refused: what does not fit together
is said in words.
"""

import io
import struct
from pathlib import Path
from typing import BinaryIO

_LINEAR = (1, 3)  # format tags of PCM, integers and floats
_COMPANDED = (6, 7)  # A-law, µ-law
_EXTENSIBLE = 0xFFFE
_STREAMED = (0, 0xFFFFFFFF)  # lengths of a file written to a pipe, where nobody could go back and enter them
_SLACK = 12  # bytes by which writers are known to miscount the whole: the first twelve themselves, or a padding

_FLAC_RATES = (None, 88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
_FLAC_BITS = (None, 8, 12, None, 16, 20, 24, 32)


def contradiction(source: str | Path | bytes) -> str:
    """What in the header of a wav or flac file cannot all be true; "" where nothing is, and for any other format.

    Args:
        source: path of a regular file, or the bytes of one; one that can be decoded, see ``read_audio``.

    >>> format = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 8000, 2, 16)
    >>> contradiction(b"RIFF" + struct.pack("<I", 44) + b"WAVE" + format + struct.pack("<4sI8x", b"data", 8))
    'wav header: 8000 bytes a second, and 8000 Hz of 2 bytes a frame are 16000'
    """
    if isinstance(source, bytes):
        return _contradiction(io.BytesIO(source), len(source))
    with open(source, "rb") as file:
        return _contradiction(file, Path(source).stat().st_size)


def _contradiction(file: BinaryIO, size: int) -> str:
    head = file.read(12)
    try:
        if head[:4] == b"RIFF" and head[8:] == b"WAVE":
            found = _of_wav(file, size, int.from_bytes(head[4:8], "little"))
            return f"wav header: {found}" if found else ""
        if head[:4] == b"fLaC":
            found = _of_flac(file)
            return f"flac header: {found}" if found else ""
    except struct.error:
        return "header: cut off"
    return ""


def _of_wav(file: BinaryIO, size: int, claimed: int) -> str:
    format, fact, position = None, None, 12
    while position + 8 <= size:
        file.seek(position)
        name, length = struct.unpack("<4sI", file.read(8))
        if not all(32 <= byte < 127 for byte in name):
            return f"{size - position} bytes from byte {position} on are in no chunk"
        if name == b"fmt ":
            format = _format_of(file.read(min(length, 40)))
            if fault := _fault_of_format(*format):
                return fault
        elif name == b"fact":
            (fact,) = struct.unpack("<I", file.read(4))
        elif name == b"data" and length in _STREAMED:
            return ""
        elif name == b"data" and format and format[0] in (*_LINEAR, *_COMPANDED):
            frame = format[4]
            if length % frame:
                return f"{length} bytes of sound, and {frame} a frame"
            frames = length // frame
            if fact not in (None, *_STREAMED, frames, frames * format[1]):  # some writers count all channels' samples
                return f"{fact} frames in one place, {frames} in another"
        position += 8 + length + length % 2
    if claimed not in _STREAMED and abs(size - 8 - claimed) > _SLACK:
        return f"{claimed + 8} bytes in all, and the file has {size}"
    return ""


def _format_of(chunk: bytes) -> tuple[int, int, int, int, int, int]:
    """Tag, channels, rate in Hz, bytes a second, bytes a frame, bits a sample."""
    tag, *fields = struct.unpack("<HHIIHH", chunk[:16])
    if tag == _EXTENSIBLE and len(chunk) >= 26:
        (tag,) = struct.unpack("<H", chunk[24:26])
    return tag, *fields


def _fault_of_format(tag: int, channels: int, rate: int, per_second: int, frame: int, bits: int) -> str:
    if tag not in (*_LINEAR, *_COMPANDED):
        return ""  # of blocks: their size follows from other fields
    wanted = channels * -(-bits // 8)
    if frame != wanted:
        return f"{frame} bytes a frame, and {channels} channels of {bits} bits are {wanted}"
    if per_second != rate * frame:
        return f"{per_second} bytes a second, and {rate} Hz of {frame} bytes a frame are {rate * frame}"
    return ""


def _of_flac(file: BinaryIO) -> str:
    """STREAMINFO against the first frame's own header (RFC 9639, sections 8.2 and 9.1)."""
    file.seek(8)
    packed = int.from_bytes(file.read(34)[10:18], "big")
    rate, channels, bits = packed >> 44, (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1
    position, last = 4, False
    while not last:
        file.seek(position)
        (head,) = struct.unpack(">I", file.read(4))
        position, last = position + 4 + (head & 0xFFFFFF), bool(head >> 31)
    file.seek(position)
    sync, sizes, layout = struct.unpack(">HBB", file.read(4))
    if sync >> 2 != 0x3FFE:
        return ""  # no frame here: the decoder has its say
    places, sample = layout >> 4, layout >> 1 & 7
    in_frame = {
        "Hz": _FLAC_RATES[sizes & 15] if sizes & 15 < len(_FLAC_RATES) else None,
        "channels": places + 1 if places < 8 else 2,
        "bits": _FLAC_BITS[sample],
    }
    for (what, of_frame), of_stream in zip(in_frame.items(), (rate, channels, bits), strict=True):
        if of_frame is not None and of_frame != of_stream:
            return f"{of_stream} {what}, and the first frame has {of_frame}"
    return ""
