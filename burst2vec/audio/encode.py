"""A waveform to the bytes of a file that keeps every sample as it is."""

import struct

import numpy as np


def encode_wav(waveform: np.ndarray, sampling_rate: int) -> bytes:
    """A WAV file of 32-bit floats: samples above 1 stay, and ``load_audio`` gives back the same numbers.

    16 bits would have to clip what exceeds 1, or scale it, and a burst at -3 dBFS RMS mostly exceeds 1. Equal samples
    are equal bytes: libsndfile's own float files are not, for they hold the time of writing in a PEAK chunk.

    Args:
        waveform: shape (samples,), any real type.
        sampling_rate: Hz.

    Returns:
        58 bytes of header (format 3, IEEE float), and four bytes a sample.

    >>> len(encode_wav(np.zeros(16_000), 16_000))
    64058
    """
    samples = np.ascontiguousarray(waveform, dtype="<f4")
    content = samples.tobytes()
    fmt = struct.pack("<4sIHHIIHHH", b"fmt ", 18, 3, 1, sampling_rate, 4 * sampling_rate, 4, 32, 0)
    fact = struct.pack("<4sII", b"fact", 4, samples.size)  # asked for in all formats but PCM
    data = struct.pack("<4sI", b"data", len(content))
    return b"RIFF" + struct.pack("<I", 50 + len(content)) + b"WAVE" + fmt + fact + data + content
