"""A recording of any length, a few seconds at a time: one channel at one rate, in memory that does not grow with it."""

import io
import os
from collections.abc import Iterator

import numpy as np
import soundfile
import soxr

from ..errors import AudioError, WaveformError
from ..waveforms import SAMPLING_RATE, real_samples
from .channels import mix_down
from .decode import ALLOWED, PYAV_FORMATS, SOUNDFILE_FORMATS, import_pyav, open_regular
from .mpeg import mpeg_sound
from .samples import MAX_CHANNELS, MAX_RATE, MIN_RATE, check_samples

BLOCK_SECONDS = 10
MOST_DELAY = 2_400  # samples of an MP3 that its decoder may leave out: two frames and a little
MOST_SECONDS = 24 * 3_600  # the longest recording; a counterfeit header may claim any length


def stream_recording(recording, sampling_rate: int = SAMPLING_RATE, name: str = "recording") -> Iterator[np.ndarray]:
    """The samples of a recording, block by block.

    Args:
        recording: a path; the bytes of a file; a waveform (samples,) at ``sampling_rate``; or a dictionary of
            ``"array"`` or ``"raw"`` and ``"sampling_rate"``, or of ``"bytes"`` and ``"path"``.
        sampling_rate: wanted, in Hz.
        name: what to call it in an error, if it has no path.

    Yields:
        float32, shape (samples,), of about 10 s; their concatenation is the whole, to the resampler's precision what
        ``load_audio`` gives of a short one.

    Raises:
        AudioError: a file that is missing, damaged, cut short, foreign or of over 24 hours; a rate outside 4 to 192
            kHz, more than 8 channels, a sample that is not finite.
        WaveformError: an array that is no waveform.
    """
    blocks, rate, name = _blocks_of(recording, sampling_rate, name)
    resampler = None
    for block in blocks:
        if resampler is None and rate() != sampling_rate:
            resampler = soxr.ResampleStream(rate(), sampling_rate, 1, dtype="float32", quality="HQ")
        if not np.isfinite(block).all():
            raise AudioError(f"{name}: a sample is not a finite number; encode it anew")
        if resampler is not None:
            block = resampler.resample_chunk(block)
        if block.size:
            yield block
    if resampler is not None and (rest := resampler.resample_chunk(np.zeros(0, np.float32), last=True)).size:
        yield rest


def _blocks_of(recording, sampling_rate: int, name: str):
    """Blocks of one channel, a call that tells their rate once the first is there, and the recording's name."""
    if isinstance(recording, dict):
        array = recording.get("array", recording.get("raw"))
        if array is not None:
            rate = recording.get("sampling_rate")
            if not isinstance(rate, (int, float)) or not MIN_RATE <= rate <= MAX_RATE:
                raise WaveformError(f"{name}: sampling_rate is {rate!r}; allowed: {MIN_RATE} to {MAX_RATE} Hz")
            return _of_array(array, rate, name), lambda: rate, name
        recording = recording["path"] if recording.get("bytes") is None else recording["bytes"]
    if isinstance(recording, (str, os.PathLike, bytes, bytearray, memoryview)):
        told = {}
        name = os.fspath(recording) if isinstance(recording, (str, os.PathLike)) else name
        return _of_file(recording, name, told), lambda: told["rate"], name
    return _of_array(recording, sampling_rate, name), lambda: sampling_rate, name


def _of_array(array, rate: float, name: str) -> Iterator[np.ndarray]:
    waveform = check_samples(real_samples(np.asarray(array), name), name)
    block = int(BLOCK_SECONDS * rate)
    for start in range(0, waveform.size, block):
        yield waveform[start : start + block]


def _of_file(source, name: str, told: dict) -> Iterator[np.ndarray]:
    if isinstance(source, (str, os.PathLike)):
        with open_regular(os.fspath(source), name) as file:
            yield from _decoded(file, name, told)
    else:
        yield from _decoded(io.BytesIO(source), name, told)


def _decoded(file, name: str, told: dict) -> Iterator[np.ndarray]:
    head = file.read(12)
    file.seek(0)
    container = "matroska" if head[:4] == b"\x1aE\xdf\xa3" else "mp4" if head[4:8] == b"ftyp" else None
    decode = _with_soundfile if container is None else _with_pyav
    try:
        yield from decode(file, name, told, container)
    except (AudioError, GeneratorExit):
        raise
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{name}: broken, or not audio: it starts with {head!r} (libsndfile: "
            f"{error.error_string.strip().rstrip('.')}); allowed: {ALLOWED}"
        ) from error
    except Exception as error:  # of a damaged file the libraries' bindings raise whatever they stumble over
        raise AudioError(
            f"{name}: broken, or not audio: it starts with {head!r} ({type(error).__name__} while decoding: {error}); "
            f"allowed: {ALLOWED}"
        ) from error


def _check(rate: int, channels: int, frames: int, name: str) -> None:
    if not MIN_RATE <= rate <= MAX_RATE or not 1 <= channels <= MAX_CHANNELS or frames > MOST_SECONDS * rate:
        raise AudioError(
            f"{name}: {rate} Hz, {channels} channels, {frames / max(rate, 1) / 3_600:.1f} h; allowed: {MIN_RATE} to "
            f"{MAX_RATE} Hz, 1 to {MAX_CHANNELS} channels, up to {MOST_SECONDS // 3_600} h"
        )


def _with_soundfile(file, name: str, told: dict, _) -> Iterator[np.ndarray]:
    counted = mpeg_sound(file, 60)  # of an MP3, whose first frame may tell how many there are
    with soundfile.SoundFile(file if isinstance(file, io.BytesIO) else file.fileno(), closefd=False) as audio:
        if audio.format not in SOUNDFILE_FORMATS:
            raise AudioError(f"{name}: format {audio.format} is not one of: {ALLOWED}")
        rate, frames, format = audio.samplerate, audio.frames, audio.format
        _check(rate, audio.channels, frames, name)
        if not frames:
            raise AudioError(f"{name}: holds no sound")
        told["rate"], read = rate, 0
        while len(part := audio.read(BLOCK_SECONDS * rate, dtype="float32", always_2d=True)):
            read += len(part)
            yield mix_down(part)
    if format == "MP3" and counted.claimed is None:
        file.seek(0)
        there = mpeg_sound(file, read / rate + 60).samples
        if there - read > MOST_DELAY:  # libsndfile guessed the length from the first frame
            raise AudioError(
                f"{name}: does not tell its length, and {(there - read) / rate:.0f} s of {there / rate:.0f} s cannot "
                "be read; encode it anew, such as with ffmpeg -i IN.mp3 OUT.flac"
            )
    elif read < frames:
        raise AudioError(f"{name}: cut short: the header claims {frames} frames, the file holds {read}")


def _with_pyav(file, name: str, told: dict, container_format: str) -> Iterator[np.ndarray]:
    av = import_pyav(name)
    # Always a file object and an explicit format: with these FFmpeg follows no reference to another file.
    with av.open(file, format=container_format, metadata_errors="ignore") as container:
        if not container.streams.audio or container.streams.audio[0].codec_context is None:
            raise AudioError(f"{name}: holds no audio stream that can be decoded; allowed: {ALLOWED}")
        stream = container.streams.audio[0]
        codec, rate = stream.codec_context.name, stream.codec_context.sample_rate
        if codec not in PYAV_FORMATS[container_format]:
            raise AudioError(f"{name}: codec {codec} is not one of {PYAV_FORMATS[container_format]}")
        duration = (container.duration or 0) / av.time_base  # seconds; browsers' recorders leave it out
        _check(rate, stream.channels, int(duration * rate), name)
        told["rate"], read, parts = rate, 0, []
        to_float = av.AudioResampler(format="fltp")  # sample type only; rate and channels stay as they are
        for packet in container.demux(stream):
            for frame in (floats for decoded in packet.decode() for floats in to_float.resample(decoded)):
                parts.append(frame.to_ndarray().mean(axis=0, dtype=np.float32))
                read += frame.samples
            if sum(part.size for part in parts) >= BLOCK_SECONDS * rate:
                yield np.concatenate(parts)
                parts = []
            _check(rate, stream.channels, read, name)
        if parts:
            yield np.concatenate(parts)
    if read < (duration - 0.05) * rate:  # 50 ms: the codecs' delay and padding
        raise AudioError(f"{name}: cut short: the header claims {duration:.2f} s, the file holds {read / rate:.2f} s")
