"""One path from file to waveform: what it keeps, and every file that it must refuse by name."""

import io
import os
import resource
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from burst2vec.audio import load_audio
from burst2vec.errors import AudioError

EMOGATOR = Path(os.environ.get("EMOGATOR_DIR", Path(__file__).parents[2].parent / "shared/emogator"))


def tone(seconds=0.5, rate=16_000, frequency=440.0, peak=0.5):
    return (peak * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def encoded(samples, rate=16_000, format="WAV", subtype=None):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=format, subtype=subtype)
    return file.getvalue()


def encoded_by_pyav(samples, format, codec, rate=48_000):
    """``samples`` of shape (channels, samples)."""
    av = pytest.importorskip("av")
    layout = {1: "mono", 2: "stereo"}[len(samples)]
    file = io.BytesIO()
    with av.open(file, "w", format=format) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
        frame.sample_rate = rate
        context = stream.codec_context
        cut = av.AudioResampler(format=context.format, rate=rate, frame_size=context.frame_size or 1024)
        for piece in [*cut.resample(frame), *cut.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return file.getvalue()


def level(waveform):
    return float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))


# What it gives


def test_a_wav_at_16_khz_comes_back_sample_by_sample():
    samples = tone()
    np.testing.assert_array_equal(load_audio(encoded(samples, subtype="FLOAT")), samples)


def test_a_path_and_its_bytes_are_the_same_clip(tmp_path):
    content = encoded(tone(rate=48_000), 48_000, "MP3")
    (tmp_path / "clip.mp3").write_bytes(content)
    waveform = load_audio(tmp_path / "clip.mp3")
    assert waveform.dtype == np.float32 and waveform.ndim == 1
    np.testing.assert_array_equal(load_audio(str(tmp_path / "clip.mp3")), waveform)
    np.testing.assert_array_equal(load_audio(content), waveform)


@pytest.mark.parametrize("format", ["WAV", "WAVEX", "FLAC", "OGG", "MP3"])
def test_formats_agree_on_length_and_level(format):
    waveform = load_audio(encoded(tone(1.0, 48_000), 48_000, format))
    assert waveform.size == 16_000
    assert level(waveform) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 96_000])
def test_resampling_keeps_a_tone_and_its_length(rate):
    waveform = load_audio(encoded(tone(1.0, rate), rate, subtype="FLOAT"))
    assert abs(waveform.size - 16_000) <= 1
    middle = slice(2_000, 14_000)
    np.testing.assert_allclose(waveform[:16_000][middle], tone(1.0)[: waveform.size][middle], atol=1e-3)


def test_resampling_leaves_no_image_of_what_lies_above_8_khz():
    waveform = load_audio(encoded(tone(1.0, 48_000, frequency=9_000), 48_000, subtype="FLOAT"))
    assert level(waveform[1_000:-1_000]) < 1e-5


def test_another_sampling_rate_can_be_asked_for():
    assert load_audio(encoded(tone(1.0)), sampling_rate=8_000).size == 8_000


def test_channels_are_averaged():
    left, right = tone(peak=0.5), tone(frequency=300.0, peak=0.25)
    both = load_audio(encoded(np.stack([left, right], axis=1), subtype="FLOAT"))
    np.testing.assert_allclose(both, (left + right) / 2, atol=1e-7)
    np.testing.assert_allclose(load_audio(encoded(np.stack([left, left], axis=1), subtype="FLOAT")), left, atol=1e-7)


def test_channels_are_averaged_in_blocks_as_they_are_at_once(monkeypatch):
    samples = np.random.default_rng(0).normal(size=(5_000, 3)).astype(np.float32)
    whole = load_audio(encoded(samples, subtype="FLOAT"))
    monkeypatch.setattr("burst2vec.audio.decode.BLOCK_VALUES", 1_000)
    np.testing.assert_allclose(load_audio(encoded(samples, subtype="FLOAT")), whole, atol=1e-7)


def test_peaks_above_one_stay():
    assert load_audio(encoded(tone(peak=1.5), subtype="FLOAT")).max() == pytest.approx(1.5, abs=1e-3)


def test_silence_is_a_clip():
    assert not load_audio(encoded(np.zeros(16_000))).any()


@pytest.mark.parametrize(
    ("format", "codec"), [("webm", "libopus"), ("ipod", "aac"), ("mp4", "alac")], ids=["webm", "m4a", "alac"]
)
def test_pyav_formats_have_the_level_that_soundfile_formats_have(format, codec):
    stereo = np.stack([tone(1.0, 48_000)] * 2)
    waveform = load_audio(encoded_by_pyav(stereo, format, codec))
    assert abs(waveform.size - 16_000) <= 700  # up to two packets of padding
    assert level(waveform[1_000:15_000]) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)  # FFmpeg's own mix: 0.5


def test_a_webm_path_is_read(tmp_path):
    content = encoded_by_pyav(tone(0.5, 48_000)[None], "webm", "libopus")
    (tmp_path / "00001.webm").write_bytes(content)
    np.testing.assert_array_equal(load_audio(tmp_path / "00001.webm"), load_audio(content))


def test_a_wav_written_to_a_pipe_has_no_length_and_is_whole():
    content = bytearray(encoded(tone()))
    place = content.index(b"data") + 4
    content[place : place + 4] = struct.pack("<I", 0xFFFFFFFF)
    assert load_audio(bytes(content)).size == 8_000


def mp3_without_length(samples, bitrate_mode):
    """An MP3 as some recorders write it: without the first frame, which tells how many there are."""
    file = io.BytesIO()
    soundfile.write(file, samples, 48_000, format="MP3", bitrate_mode=bitrate_mode, compression_level=0.3)
    content = file.getvalue()
    return content[content.index(b"\xff\xfb", 10) :]


def test_an_mp3_that_does_not_tell_its_length_is_read_to_its_end():
    noise = np.random.default_rng(0).normal(size=48_000) / 5
    for bitrate_mode in ("CONSTANT", "VARIABLE"):
        content = mp3_without_length(np.concatenate([np.zeros(48_000), noise]), bitrate_mode)
        assert 32_000 <= load_audio(content).size <= 33_200
        assert load_audio(content + b"TAG" + b"\0" * 125).size == load_audio(content).size


def test_an_mp3_whose_length_is_guessed_too_short_is_not_cut(tmp_path):
    noise = np.random.default_rng(0).normal(size=48_000) / 5
    content = mp3_without_length(np.concatenate([noise, np.zeros(144_000)]), "VARIABLE")
    assert soundfile.SoundFile(io.BytesIO(content)).frames < 100_000
    assert 64_000 <= load_audio(content).size <= 65_200
    (tmp_path / "clip.mp3").write_bytes(content)
    np.testing.assert_array_equal(load_audio(tmp_path / "clip.mp3"), load_audio(content))


def test_a_wav_with_a_chunk_after_its_data_is_whole():
    content = encoded(tone()) + b"LIST" + struct.pack("<I", 4) + b"INFO"
    assert load_audio(content).size == 8_000


@pytest.mark.emogator
def test_real_recordings_are_read():
    clips = sorted((EMOGATOR / "data/mp3").glob("*.mp3"))[::540]
    if not clips:
        pytest.skip(f"EmoGator is not at {EMOGATOR}; set EMOGATOR_DIR")
    for path in clips:
        samples, rate = soundfile.read(path, always_2d=True)
        waveform = load_audio(path)
        assert waveform.size == pytest.approx(len(samples) * 16_000 / rate, abs=1)
        assert np.isfinite(waveform).all()


# What it refuses


def refused(content, match, name="bad.wav"):
    with pytest.raises(AudioError, match=match) as caught:
        load_audio(content, name=name)
    assert name in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(AudioError, match=r"nowhere\.wav: cannot be read: No such file"):
        load_audio(tmp_path / "nowhere.wav")


def test_an_address_is_a_missing_file_and_is_not_fetched():
    with pytest.raises(AudioError, match=r"http://localhost:1/burst\.wav: cannot be read"):
        load_audio("http://localhost:1/burst.wav")


def test_a_path_with_a_null_byte_is_refused():
    with pytest.raises(AudioError, match="null byte"):
        load_audio("a\0b.wav")


def test_a_file_that_may_not_be_opened_is_named(tmp_path, monkeypatch):
    path = tmp_path / "locked.wav"
    path.write_bytes(encoded(tone()))

    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)
    with pytest.raises(AudioError, match=r"locked\.wav: cannot be read: Permission denied"):
        load_audio(path)


def test_a_folder_and_a_pipe_are_refused_at_once(tmp_path):
    with pytest.raises(AudioError, match="'d'.*not a regular file"):
        load_audio(tmp_path)
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(AudioError, match="'p'.*not a regular file"):
        load_audio(tmp_path / "pipe.wav")


def test_an_empty_file_is_refused(tmp_path):
    refused(b"", "empty")
    (tmp_path / "empty.wav").touch()
    with pytest.raises(AudioError, match=r"empty\.wav: the file is empty"):
        load_audio(tmp_path / "empty.wav")


PLAYLISTS = {
    "m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://localhost:1/x.ts\n#EXT-X-ENDLIST\n",
    "m3u": b"#EXTM3U\n/work/secret.wav\n",
    "concat": b"ffconcat version 1.0\nfile '/work/secret.wav'\n",
    "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "dash": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("suffix", [".mp3", ".wav", ".m3u8", ".webm", ".vox", ".raw"])
def test_a_playlist_posing_as_audio_is_refused(tmp_path, kind, suffix):
    path = tmp_path / f"clip{suffix}"
    path.write_bytes(PLAYLISTS[kind])
    with pytest.raises(AudioError, match=r"broken, or not audio: \d+ bytes that start with"):
        load_audio(path)


@pytest.mark.parametrize(
    "content", [b"\0" * 5_000, np.random.default_rng(0).bytes(5_000), b"\x89PNG\r\n\x1a\n" + b"\0" * 50, b"x"]
)
def test_what_is_not_audio_is_refused(content):
    refused(content, "not audio")


@pytest.mark.parametrize("head", [b"\x1aE\xdf\xa3", b"\0\0\0\x20ftypM4A "])
def test_a_broken_webm_or_m4a_is_refused(head):
    pytest.importorskip("av")
    refused(head + b"\0" * 200, "broken (matroska|mp4) file")


def test_other_formats_that_the_library_could_read_are_refused():
    refused(encoded(tone(), format="AIFF"), "format AIFF is not one of: wav, flac, ogg, mp3")


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize("share", [0.9, 0.5, 0.1])
def test_a_cut_file_is_refused(format, share):
    samples = np.random.default_rng(0).normal(size=48_000).astype(np.float32) / 10
    content = encoded(samples, 48_000, format)
    refused(content[: int(share * len(content))], "cut short|broken|0 samples")


def test_an_ogg_cut_in_its_last_page_is_refused():
    refused(encoded(tone(), format="OGG")[:-40], "cut short|broken")


@pytest.mark.parametrize(("format", "codec"), [("webm", "libopus"), ("ipod", "aac")])
@pytest.mark.parametrize("share", [0.9, 0.5, 0.1])
def test_a_cut_webm_or_m4a_is_refused(format, codec, share):
    noise = np.random.default_rng(0).normal(size=(1, 48_000)).astype(np.float32) / 10
    content = encoded_by_pyav(noise, format, codec)
    refused(content[: int(share * len(content))], "cut short|broken")


@pytest.mark.parametrize("rate", [1, 3_999, 192_001, 1_000_000_000])
def test_an_absurd_rate_is_refused(rate):
    content = bytearray(encoded(tone()))
    content[24:28] = struct.pack("<I", rate)
    refused(bytes(content), rf"header says {rate} Hz; allowed: 4000 to 192000 Hz")


def test_too_many_channels_are_refused():
    refused(encoded(np.zeros((1_000, 9))), "header says 9 channels; allowed: 1 to 8")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_a_sample_that_is_no_number_is_named(value, rate):
    samples = tone(0.5, rate)
    samples[77] = value
    refused(encoded(samples, rate, subtype="FLOAT"), f"sample 77 is {value}")


@pytest.mark.parametrize("samples", [0, 1, 399])
def test_a_clip_under_25_ms_is_refused(samples):
    refused(encoded(np.ones(samples) / 2), f"{samples} samples at 16000 Hz are .* ms; a burst has 25 ms to 60 s")


def test_a_clip_of_25_ms_is_read():
    assert load_audio(encoded(np.ones(400) / 2)).size == 400
    assert load_audio(encoded(np.ones(1_200) / 2, 48_000)).size == 400


def test_a_clip_over_a_minute_is_refused_and_one_of_a_minute_is_not():
    assert load_audio(encoded(np.zeros(960_000))).size == 960_000
    refused(encoded(np.zeros(960_001)), "960001 frames at 16000 Hz, 60.0 s; allowed: up to 60 s")


def test_a_webm_over_a_minute_is_refused():
    refused(encoded_by_pyav(np.zeros((1, 61 * 48_000), np.float32), "webm", "libopus"), r"61\.0 s; allowed: up to 60 s")


def test_a_webm_that_does_not_tell_its_length_is_not_decoded_past_a_minute():
    content = bytearray(encoded_by_pyav(np.zeros((1, 61 * 48_000), np.float32), "webm", "libopus"))
    place = content.index(b"\x44\x89\x88")  # the element Duration, 3 bytes and 8 of value, becomes Void, 2 and 9
    content[place : place + 2] = b"\xec\x89"
    refused(bytes(content), r"60\.0 s; allowed: up to 60 s")


def test_other_codecs_in_a_webm_are_refused():
    refused(encoded_by_pyav(tone(0.5, 48_000)[None], "matroska", "pcm_s16le"), "codec pcm_s16le is not one of")


def test_a_webm_without_sound_is_refused():
    av = pytest.importorskip("av")
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuvj420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((24, 16), np.uint8), format="yuv420p")))
        container.mux(stream.encode(None))
    refused(file.getvalue(), "holds no audio stream")


def test_without_pyav_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"clip\.webm: .*pip install 'burst2vec\[webm\]'"):
        load_audio(b"\x1aE\xdf\xa3" + b"\0" * 50, name="clip.webm")


def test_a_bomb_takes_no_memory():
    """Two minutes of silence in eight channels: 0.1 MB of FLAC, 184 MB when decoded."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 48_000, 8, format="FLAC") as bomb:
        for _ in range(4):
            bomb.write(np.zeros((30 * 48_000, 8), dtype=np.int16))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(file.getvalue(), r"120\.0 s; allowed: up to 60 s")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


def test_pyav_is_not_needed_for_what_soundfile_reads(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    assert load_audio(encoded(tone())).size == 8_000
