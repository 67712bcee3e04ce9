"""An audio file to one waveform: decode, mix down, resample. The one documented path, so that every clip has one truth.

Files come from strangers. So only regular files are opened, the header is judged before anything is decoded, the length
read is capped, and FFmpeg is never asked to guess a format: a text that it takes for a playlist can make it read other
files or open connections.
"""

import io
import os
import stat

import numpy as np
import soundfile

from ..errors import AudioError, MissingPackageError
from ..waveforms import MAX_SAMPLES, MIN_SAMPLES, SAMPLING_RATE
from .channels import mix_down
from .mpeg import MOST_BYTES_PER_SECOND, mpeg_sound
from .resampling import convert_rate
from .samples import MAX_CHANNELS, MAX_RATE, MIN_RATE
from .whole import ogg_fault, wav_sound

SOUNDFILE_FORMATS = ("WAV", "WAVEX", "FLAC", "OGG", "MP3")
PYAV_FORMATS = {"matroska": ("opus", "vorbis"), "mp4": ("aac", "alac", "opus")}  # demuxer: the codecs let through
ALLOWED = "wav, flac, ogg, mp3, and with burst2vec[webm] also webm and m4a"

MAX_SECONDS = MAX_SAMPLES / SAMPLING_RATE
BLOCK_VALUES = 1 << 22  # decode at most 16 MB of float32 at a time: 22 s of 96 kHz stereo


def load_audio(path_or_bytes, sampling_rate: int = SAMPLING_RATE, name: str | None = None) -> np.ndarray:
    """Decode one audio file to one channel at ``sampling_rate``.

    Channels are averaged: a stereo file of two equal channels has the level of either one (FFmpeg's own mix is
    sqrt(2) louder). Samples are not clipped: lossy codecs decode to peaks above 1, and those peaks stay. The resampler
    is soxr at its quality HQ, flat to 7.3 kHz and made for 20 bits.

    Speed, on 1.9 s clips of 48 kHz MP3: libsndfile's decoding is 69 % of the time, soxr 26 %, all else 5 %. MQ (96 dB)
    would save 1 % of the whole; LQ 5 %, and with it what lies above 6 kHz. Bytes cost 1.05 times what a path does;
    PyAV's decoding takes twice libsndfile's time.

    A file is read whole or refused. An MP3 that does not tell its length has its frames counted, see ``mpeg_sound``.

    Args:
        path_or_bytes: path of a regular file, or the bytes of one: wav, flac, ogg, mp3; webm and m4a need PyAV.
        sampling_rate: wanted rate in Hz.
        name: what to call the audio in an error; the path, if there is one.

    Returns:
        float32, shape (samples,), finite, 25 ms to 60 s long; full scale is 1.

    Raises:
        AudioError: a missing, empty, damaged, cut or foreign file, whatever its decoder raises; a rate outside 4 to 192
            kHz, more than 8 channels, a sample that is NaN or infinite, under 25 ms or over 60 s.
        MissingPackageError: a webm or m4a file where PyAV is not installed.

    >>> file = io.BytesIO()
    >>> soundfile.write(file, np.full((48_000, 2), [0.5, 0.25]), 48_000, format="WAV", subtype="FLOAT")
    >>> waveform = load_audio(file.getvalue())
    >>> waveform.shape, float(waveform[8_000].round(4))
    ((16000,), 0.375)
    """
    waveform, rate, name = _read(path_or_bytes, name)
    resampled = convert_rate(waveform, rate, sampling_rate)
    _check_finite(resampled, waveform, name)  # the resampler spreads a NaN, so the shorter array tells
    return resampled


def read_audio(path_or_bytes, name: str | None = None) -> tuple[np.ndarray, int]:
    """Decode one audio file to one channel at the rate it was recorded at; else as ``load_audio``.

    Returns:
        float32, shape (samples,), finite, 25 ms to 60 s long; and its sampling rate in Hz.

    >>> file = io.BytesIO()
    >>> soundfile.write(file, np.full((48_000, 2), [0.5, 0.25]), 48_000, format="WAV", subtype="FLOAT")
    >>> waveform, sampling_rate = read_audio(file.getvalue())
    >>> waveform.shape, float(waveform[24_000]), sampling_rate
    ((48000,), 0.375, 48000)
    """
    waveform, rate, name = _read(path_or_bytes, name)
    _check_finite(waveform, waveform, name)
    return waveform, rate


def _read(path_or_bytes, name: str | None) -> tuple[np.ndarray, int, str]:
    """One channel, its rate in Hz, and what to call it; not checked for NaN yet."""
    if isinstance(path_or_bytes, (bytes, bytearray, memoryview)):
        name = name or "audio bytes"
        waveform, rate = _decode(io.BytesIO(path_or_bytes), len(path_or_bytes), name)
    else:
        path = os.fspath(path_or_bytes)
        name = name or path
        with open_regular(path, name) as file:
            waveform, rate = _decode(file, os.fstat(file.fileno()).st_size, name)

    if waveform.size * SAMPLING_RATE < MIN_SAMPLES * rate:
        raise AudioError(
            f"{name}: {waveform.size} samples at {rate} Hz are {1000 * waveform.size / rate:.1f} ms; "
            f"a burst has {1000 * MIN_SAMPLES // SAMPLING_RATE} ms to {MAX_SECONDS:.0f} s"
        )
    return waveform, rate, name


def _check_finite(resampled: np.ndarray, decoded: np.ndarray, name: str):
    if not np.isfinite(resampled).all():
        where = int(np.argmin(np.isfinite(decoded)))
        raise AudioError(f"{name}: sample {where} is {decoded[where]}; every sample must be a finite number")


def open_regular(path, name):
    """Open a file for reading, if it is one: a FIFO would hang for ever, and a device has no end."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise AudioError(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(mode):
        raise AudioError(
            f"{name}: is a {stat.filemode(mode)[0]!r} (folder, pipe, socket or device), not a regular file"
        )
    try:
        return open(path, "rb", buffering=0)  # a buffer would move the descriptor that libsndfile continues at
    except OSError as error:
        raise AudioError(f"{name}: cannot be read: {error.strerror}") from error


def _decode(file, size: int, name: str) -> tuple[np.ndarray, int]:
    """One channel and its rate in Hz, from an open binary file of ``size`` bytes."""
    if size == 0:
        raise AudioError(f"{name}: the file is empty (0 bytes); allowed: {ALLOWED}")
    head = file.read(12)
    file.seek(0)
    container_format = "matroska" if head[:4] == b"\x1aE\xdf\xa3" else "mp4" if head[4:8] == b"ftyp" else None
    pyav = container_format and import_pyav(name)
    try:
        if pyav:
            return _decode_with_pyav(pyav, file, container_format, name)
        return _decode_with_soundfile(file, size, head, name)
    except AudioError:
        raise
    except OSError as error:
        raise AudioError(f"{name}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # of a damaged file the libraries' bindings raise whatever they stumble over
        raise AudioError(
            f"{name}: broken, or not audio: {size} bytes that start with {head!r} "
            f"({type(error).__name__} while decoding: {error}); allowed: {ALLOWED}"
        ) from error


def _decode_with_soundfile(file, size: int, head: bytes, name: str) -> tuple[np.ndarray, int]:
    # A descriptor, where there is one: libsndfile reads it faster than a Python object, and unlike a path it carries
    # no extension, from which libsndfile would take a headerless format on trust.
    source = file if isinstance(file, io.BytesIO) else file.fileno()
    try:
        with soundfile.SoundFile(source, closefd=False) as audio:
            if audio.format not in SOUNDFILE_FORMATS:
                raise AudioError(f"{name}: format {audio.format} is not one of: {ALLOWED}")
            if audio.format == "MP3":
                return _decode_mp3(audio, file, name), audio.samplerate
            format, rate, channels, frames = audio.format, audio.samplerate, audio.channels, audio.frames
            _check_header(rate, channels, frames, name)
            waveform = _read_mono(audio, channels, frames)
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{name}: broken, or not audio: {size} bytes that start with {head!r} "
            f"(libsndfile: {error.error_string.strip().rstrip('.')}); allowed: {ALLOWED}"
        ) from error
    fault = ""
    if waveform.size < frames:
        fault = f"the header claims {frames} frames, the file holds {waveform.size}"
    elif format in ("WAV", "WAVEX"):
        sounding, fault = wav_sound(file, size, waveform.size)
        waveform = waveform[:sounding]
    elif format == "OGG":
        fault = ogg_fault(file, size)
    if fault:
        raise AudioError(f"{name}: cut short: {fault}")
    return waveform, rate


def _decode_mp3(audio, file, name: str) -> np.ndarray:
    """One channel of an MP3 that libsndfile has opened, all of it, whether or not the file tells how much that is."""
    rate, channels = audio.samplerate, audio.channels
    sound = mpeg_sound(file, MAX_SECONDS)
    frames = sound.samples if sound.claimed is None else audio.frames
    _check_header(rate, channels, frames, name)
    if sound.fault and not (sound.claimed and sound.frames >= sound.claimed):
        raise AudioError(f"{name}: damaged, or cut short: {sound.fault}")
    if sound.claimed is not None and sound.frames > sound.claimed + 1:  # some count the frame that tells
        raise AudioError(f"{name}: sound goes on after the {frames} frames that its header gives; encode it anew")
    if audio.frames < frames:  # a guess from the length of the file, and of a longer file a longer one
        file.seek(0)
        with soundfile.SoundFile(io.BytesIO(file.read() + bytes(int(MAX_SECONDS * MOST_BYTES_PER_SECOND)))) as longer:
            waveform = _read_mono(longer, channels, frames)
    else:
        waveform = _read_mono(audio, channels, frames)
    if waveform.size < frames:
        raise AudioError(f"{name}: cut short: the file claims {frames} frames, and {waveform.size} can be decoded")
    return waveform


def _check_header(rate: int, channels: int, frames: int, name: str):
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(f"{name}: header says {rate} Hz; allowed: {MIN_RATE} to {MAX_RATE} Hz")
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioError(f"{name}: header says {channels} channels; allowed: 1 to {MAX_CHANNELS}")
    if frames > MAX_SECONDS * rate:
        raise AudioError(
            f"{name}: {frames} frames at {rate} Hz, {frames / rate:.1f} s; allowed: up to {MAX_SECONDS:.0f} s"
        )


def _read_mono(audio, channels: int, frames: int) -> np.ndarray:
    """The mean of the channels, read in blocks so that a bomb of silence in eight channels takes little memory."""
    block = BLOCK_VALUES // channels
    parts = []
    remaining = frames
    while remaining > 0:
        part = audio.read(min(block, remaining), dtype="float32", always_2d=True)
        if not len(part):
            break
        remaining -= len(part)
        parts.append(mix_down(part))
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, dtype=np.float32), *parts])


def import_pyav(name: str):
    try:
        import av
    except ImportError as error:
        raise MissingPackageError(f"{name}: reading webm and m4a needs PyAV: pip install 'burst2vec[webm]'") from error
    return av


def _decode_with_pyav(av, file, container_format: str, name: str) -> tuple[np.ndarray, int]:
    parts = []
    frames = 0
    try:
        # Always a file object and an explicit format: with these FFmpeg follows no reference to another file.
        with av.open(file, format=container_format, metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise AudioError(f"{name}: holds no audio stream; allowed: {ALLOWED}")
            stream = container.streams.audio[0]
            if stream.codec_context is None:
                raise AudioError(f"{name}: its codec is not known; allowed: {PYAV_FORMATS[container_format]}")
            codec, rate, channels = stream.codec_context.name, stream.codec_context.sample_rate, stream.channels
            if codec not in PYAV_FORMATS[container_format]:
                raise AudioError(f"{name}: codec {codec} is not one of {PYAV_FORMATS[container_format]}")
            duration = (container.duration or 0) / av.time_base  # seconds; browsers' recorders leave it out
            _check_header(rate, channels, int(duration * rate), name)
            to_float = av.AudioResampler(format="fltp")  # sample type only; rate and channels stay as they are
            for packet in container.demux(stream):
                for frame in (floats for decoded in packet.decode() for floats in to_float.resample(decoded)):
                    parts.append(frame.to_ndarray().mean(axis=0, dtype=np.float32))
                    frames += frame.samples
                _check_header(rate, channels, frames, name)
    except av.FFmpegError as error:
        raise AudioError(
            f"{name}: broken {container_format} file (FFmpeg: {error.strerror}); allowed: {ALLOWED}"
        ) from error
    waveform = np.concatenate([np.empty(0, dtype=np.float32), *parts])
    if waveform.size < (duration - 0.05) * rate:  # 50 ms: the codecs' delay and padding
        raise AudioError(
            f"{name}: cut short: the header claims {duration:.2f} s, the file holds {waveform.size / rate:.2f} s"
        )
    return waveform, rate
