"""Whether a WAV or Ogg file holds all that it tells of; libsndfile quietly gives what is there of one that was cut."""

import struct

_SAMPLE_BY_SAMPLE = {1, 3, 6, 7, 0xFFFE}  # PCM, float, A-law, µ-law, and the extensible form of these
_GSM = 0x31
_GSM_BLOCK = 320  # samples
_UNTOLD = (0, 0xFFFFFFFF)  # written to a pipe, before the length was known


def wav_sound(file, size: int, decoded: int) -> tuple[int, str]:
    """What a RIFF or RIFX file holds of the samples that libsndfile gave of it, and what is missing.

    A GSM file of an odd number of blocks ends in a byte of padding, which libsndfile takes for a block: 40 ms of noise.
    Codecs of blocks (ADPCM, GSM) tell their number of samples a second time, in a chunk ``fact``.

    Args:
        file: open for reading, binary.
        size: of the file in bytes.
        decoded: samples per channel that were decoded.

    Returns:
        how many of these are sound, counted from the first; and, in words, what is missing, or "".
    """
    file.seek(0)
    order = {b"RIFF": "<", b"RIFX": ">"}.get(file.read(4))
    position, codec, block_bytes, told = 12, 1, 1, 0
    while order and position + 8 <= size:
        file.seek(position)
        chunk, length = struct.unpack(f"{order}4sI", file.read(8))
        if chunk == b"fmt ":
            codec, block_bytes = struct.unpack(f"{order}H10xH", file.read(14))
        elif chunk == b"fact":
            (told,) = struct.unpack(f"{order}I", file.read(4))
        elif chunk == b"data":
            there = size - position - 8
            streamed = length in _UNTOLD
            blocks = (there if streamed else length) // max(1, block_bytes)
            if blocks > there // max(1, block_bytes):
                return decoded, f"the header claims {length} bytes of sound, the file holds {there}"
            if codec == _GSM:
                decoded = min(decoded, blocks * _GSM_BLOCK)
            if codec not in _SAMPLE_BY_SAMPLE and told not in _UNTOLD and decoded < told:
                return decoded, f"the header claims {told} frames, the file holds {decoded}"
            break
        position += 8 + length + length % 2
    return decoded, ""


def ogg_fault(file, size: int) -> str:
    """What is missing of an Ogg file, in words, or "": its last page is whole and marked so (RFC 3533, section 6)."""
    file.seek(max(0, size - 65_307))  # the longest page there can be
    tail = file.read()
    page = tail[tail.rfind(b"OggS") :]
    if len(page) >= 27 and page[5] & 4:
        segments = page[27 : 27 + page[26]]
        if len(page) >= 27 + len(segments) + sum(segments):
            return ""
    return "the Ogg stream has no last page"
