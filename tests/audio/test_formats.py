"""One clip in every format is one clip: as loud, and at the same place in time."""

import io
from fractions import Fraction

import numpy as np
import pytest
import soundfile

from burst2vec.audio import load_audio
from burst2vec.data.preprocessing import preprocess_folder
from burst2vec.errors import AudioError

RATE = 48_000
ONSET, END = 0.3, 0.9  # seconds
SOUNDFILE = {"wav": "WAV", "flac": "FLAC", "ogg": "OGG", "mp3": "MP3"}
PYAV = {  # suffix: container, codec, channels, options
    "webm": ("webm", "libopus", 1, {}),
    "vorbis.webm": ("webm", "vorbis", 2, {"strict": "experimental"}),  # FFmpeg's own encoder, for stereo alone
    "m4a": ("ipod", "aac", 1, {}),
}


def clip():
    """1.2 s: silence, 440 Hz from 0.3 s to 0.9 s with a sharp beginning and end, silence."""
    time = np.arange(int(1.2 * RATE)) / RATE
    return (0.5 * np.sin(2 * np.pi * 440 * time) * ((time >= ONSET) & (time < END))).astype(np.float32)


def encoded(suffix):
    file = io.BytesIO()
    if suffix in SOUNDFILE:
        soundfile.write(file, clip(), RATE, format=SOUNDFILE[suffix])
        return file.getvalue()
    av = pytest.importorskip("av")
    container_format, codec, channels, options = PYAV[suffix]
    layout = {1: "mono", 2: "stereo"}[channels]
    frame = av.AudioFrame.from_ndarray(np.stack([clip()] * channels), format="fltp", layout=layout)
    # With times the container tells how much the codec put before the first sample; without, the clip would come late.
    frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
    with av.open(file, "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=RATE, layout=layout, options=options)
        context = stream.codec_context
        cut = av.AudioResampler(format=context.format, rate=RATE, frame_size=context.frame_size)
        for piece in [*cut.resample(frame), *cut.resample(None), None]:
            container.mux(stream.encode(piece))
    return file.getvalue()


def sounding(waveform):
    """The seconds at which the tone begins and ends: where half its height is first and last passed."""
    where = np.flatnonzero(np.abs(waveform) > 0.25) / 16_000
    return where[0], where[-1]


def level_db(waveform):
    """RMS in the tone's middle, relative to the tone that was encoded."""
    middle = waveform[int(16_000 * (ONSET + 0.1)) : int(16_000 * (END - 0.1))]
    return 20 * np.log10(np.sqrt(np.mean(middle.astype(float) ** 2)) / (0.5 / np.sqrt(2)))


@pytest.mark.parametrize("suffix", [*SOUNDFILE, *PYAV])
def test_a_clip_is_as_loud_and_begins_when_it_did_in_every_format(suffix):
    waveform = load_audio(encoded(suffix))
    assert waveform.size == pytest.approx(1.2 * 16_000, abs=0.025 * 16_000)
    assert abs(level_db(waveform)) < 0.1
    assert sounding(waveform) == pytest.approx((ONSET, END), abs=0.025)


@pytest.mark.parametrize("suffix", [*SOUNDFILE, *PYAV])
def test_a_clip_has_the_samples_of_the_wav_in_every_format(suffix):
    """Sample by sample, best within 25 ms: what is left of the difference is 20 dB below the tone."""
    wav, other = load_audio(encoded("wav"))[4_000:15_000], load_audio(encoded(suffix))
    differences = [wav - other[4_000 + shift : 15_000 + shift] for shift in range(-400, 401, 4)]
    assert min(np.mean(difference**2) for difference in differences) < 0.01 * np.mean(wav**2)


@pytest.mark.parametrize("suffix", PYAV)
@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_a_recording_cut_in_the_middle_holds_less_than_its_header_says_and_is_refused(suffix, share):
    content = encoded(suffix)
    with pytest.raises(AudioError, match=r"cut short: the header claims 1\.2. s, the file holds|broken (mp4|matroska)"):
        load_audio(content[: int(share * len(content))])


def test_a_webm_cut_in_the_middle_is_a_failure_of_its_folder(tmp_path):
    content = encoded("webm")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "whole.webm").write_bytes(content)
    (tmp_path / "raw" / "half.webm").write_bytes(content[: len(content) // 2])
    done = preprocess_folder(tmp_path / "raw", tmp_path / "clean", ["resample"], num_proc=1)
    assert done.made == 1
    assert [(failure.file, "cut short: the header claims" in failure.reason) for failure in done.failures] == [
        ("half.webm", True)
    ]
    np.testing.assert_array_equal(load_audio(tmp_path / "clean" / "whole.wav"), load_audio(content))


def test_a_cut_webm_that_never_told_its_length_cannot_be_told_from_a_shorter_one():
    """As browsers record it. What is there is read; nothing in the file says that there was more."""
    content = bytearray(encoded("webm"))
    place = content.index(b"\x44\x89\x88")  # the element Duration, 3 bytes and 8 of value, becomes Void, 2 and 9
    content[place : place + 2] = b"\xec\x89"
    half = load_audio(bytes(content[: len(content) // 2]))
    assert 0.3 * 16_000 < half.size < 0.9 * 16_000 and sounding(half)[0] == pytest.approx(ONSET, abs=0.025)


def test_all_formats_of_a_folder_become_the_same_clip(tmp_path):
    for suffix in (*SOUNDFILE, *PYAV):
        path = tmp_path / "raw" / suffix / f"clip.{suffix.split('.')[-1]}"
        path.parent.mkdir(parents=True)
        path.write_bytes(encoded(suffix))
    done = preprocess_folder(tmp_path / "raw", tmp_path / "clean", ["mono", "resample", "highpass"], num_proc=2)
    assert done.made == len(SOUNDFILE) + len(PYAV)
    for path in (tmp_path / "clean").rglob("*.wav"):
        waveform = load_audio(path)
        assert abs(level_db(waveform)) < 0.1 and sounding(waveform) == pytest.approx((ONSET, END), abs=0.025), path
