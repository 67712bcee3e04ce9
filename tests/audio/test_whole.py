"""A file is read whole or refused: what the decoders would quietly give of one that was cut, or that misleads them."""

import io
import struct

import numpy as np
import pytest
import soundfile

from burst2vec.audio import read_audio
from burst2vec.audio.mpeg import mpeg_sound
from burst2vec.errors import AudioError

RATES = (8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000)  # of MPEG-1, -2 and -2.5
ID3V2 = b"ID3\4\0\0\0\0\1\0" + bytes(128)
ID3V1 = b"TAG" + bytes(125)


def rising(rate, seconds=0.9, channels=1, loud_first=False):
    """Silence and then noise, or the other way round: what takes few bits and then many."""
    silence = np.zeros(int(seconds * rate / 2))
    noise = np.random.default_rng(rate).normal(size=silence.size) / 5
    samples = np.concatenate([noise, silence] if loud_first else [silence, noise])
    return np.stack([samples] * channels, axis=1)


def encoded(samples, rate, **how):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, **how)
    return file.getvalue()


def mp3(samples, rate, mode="VARIABLE", tells_length=True):
    """With or without the first frame, which tells how many follow; some recorders write none."""
    content = encoded(samples, rate, format="MP3", bitrate_mode=mode, compression_level=0.3)
    return content if tells_length else content[_first_header(content, after=10) :]


def _first_header(content, after):
    places = [content.find(sync, after) for sync in (b"\xff\xfb", b"\xff\xf3", b"\xff\xe3")]
    return min(place for place in places if place >= 0)


def samples_by_pyav(content, container_format):
    av = pytest.importorskip("av")
    with av.open(io.BytesIO(content), format=container_format) as container:
        parts = [frame.to_ndarray() for frame in container.decode(audio=0)]
    return np.concatenate(parts, axis=1).mean(axis=0)


def cut_short(content, match="cut short"):
    with pytest.raises(AudioError, match=match) as caught:
        read_audio(content, name="bad.file")
    assert str(caught.value).startswith("bad.file: ")


# MP3


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("mode", ["CONSTANT", "AVERAGE", "VARIABLE"])
@pytest.mark.parametrize("channels", [1, 2])
def test_an_mp3_that_does_not_tell_its_length_is_read_whole(rate, mode, channels):
    for loud_first in (False, True):
        content = mp3(rising(rate, channels=channels, loud_first=loud_first), rate, mode, tells_length=False)
        waveform, _ = read_audio(content)
        expected = samples_by_pyav(content, "mp3")
        assert waveform.size == expected.size >= 0.9 * rate
        np.testing.assert_allclose(waveform, expected, atol=1e-4)


def test_the_guess_that_would_cut_such_an_mp3_is_made_by_the_library():
    """Else the test above tests nothing."""
    content = mp3(rising(16_000, loud_first=True), 16_000, tells_length=False)
    assert soundfile.SoundFile(io.BytesIO(content)).frames < 0.6 * read_audio(content)[0].size


@pytest.mark.parametrize("rate", RATES)
def test_an_mp3_that_tells_its_length_has_the_samples_that_went_in(rate):
    samples = rising(rate)
    content = mp3(samples, rate)
    assert read_audio(content)[0].size == len(samples) == samples_by_pyav(content, "mp3").size


def test_an_mp3_is_the_same_from_a_path(tmp_path):
    content = mp3(rising(44_100, loud_first=True), 44_100, tells_length=False)
    (tmp_path / "clip.mp3").write_bytes(content)
    np.testing.assert_array_equal(read_audio(tmp_path / "clip.mp3")[0], read_audio(content)[0])


def test_an_mp3_that_is_guessed_too_long_to_be_a_burst_is_read():
    """Half a second of silence at 8 kbit/s, then noise: the library guesses 72 s of the 13."""
    rate = 16_000
    samples = np.concatenate([np.zeros(rate // 2), np.random.default_rng(0).normal(size=25 * rate // 2) / 3])
    content = encoded(samples, rate, format="MP3", bitrate_mode="VARIABLE", compression_level=0.0)
    content = content[_first_header(content, after=10) :]
    assert soundfile.SoundFile(io.BytesIO(content)).frames > 60 * rate
    assert read_audio(content)[0].size == pytest.approx(13 * rate, abs=2_000)


@pytest.mark.parametrize("tells_length", [True, False])
def test_tags_and_whatever_else_stands_around_the_sound_of_an_mp3_are_passed_over(tells_length):
    content = mp3(rising(16_000, loud_first=True), 16_000, tells_length=tells_length)
    whole = read_audio(content)[0]
    rubbish = np.random.default_rng(0).bytes(5_000)
    behind = [content + more for more in (ID3V1, b"APETAGEX" + bytes(300), bytes(3_000), rubbish)]
    for more in (ID3V2 + content, ID3V2 + ID3V2 + content, *behind):
        np.testing.assert_array_equal(read_audio(more)[0], whole)


@pytest.mark.parametrize("share", [0.99, 0.9, 0.6, 0.3])
@pytest.mark.parametrize("tells_length", [True, False])
def test_an_mp3_cut_in_a_frame_is_refused(share, tells_length):
    content = mp3(rising(16_000, loud_first=True), 16_000, "CONSTANT", tells_length)
    end = int(share * len(content))
    cut_short(content[: end - end % 10])


def test_an_mp3_whose_sound_goes_on_after_what_it_tells_is_refused():
    content = mp3(rising(16_000), 16_000)
    cut_short(content + content, "sound goes on after the 14400 frames that its header gives")
    place = content.index(b"Xing") + 8
    frames = int.from_bytes(content[place : place + 4], "big")
    fewer = content[:place] + (frames // 2).to_bytes(4, "big") + content[place + 4 :]
    cut_short(fewer, "sound goes on after the [0-9]+ frames that its header gives")


def test_an_mp3_damaged_in_its_middle_is_refused():
    content = bytearray(mp3(rising(16_000), 16_000, "CONSTANT", tells_length=False))
    place = content.index(content[:3], 1_000)
    content[place] = 0
    cut_short(bytes(content), f"damaged, or cut short: byte {place} begins no frame, and byte [0-9]+ does")


def test_an_mp3_that_tells_its_length_without_a_number_is_read_whole():
    content = mp3(rising(16_000, loud_first=True), 16_000)
    place = content.index(b"Xing") + 7
    without = content[:place] + bytes([content[place] & 0xFE]) + content[place + 1 :]
    assert 14_400 <= read_audio(without)[0].size <= 14_400 + 3 * 576


def test_frames_are_as_many_as_the_encoder_says():
    for rate in RATES:
        content = mp3(rising(rate), rate)
        sound = mpeg_sound(io.BytesIO(content), 60)
        assert sound.frames == sound.claimed > 10 and not sound.fault
        assert sound.samples == sound.frames * (1_152 if rate > 24_000 else 576)


def test_a_long_mp3_is_walked_no_further_than_it_may_be_long():
    content = mp3(np.zeros(20 * 8_000), 8_000, tells_length=False)
    assert 5 * 8_000 < mpeg_sound(io.BytesIO(content), 5).samples < 5.2 * 8_000
    with pytest.raises(AudioError, match=r"60\.[01] s; allowed: up to 60 s"):
        read_audio(4 * content)


# WAV


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32", "ULAW", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("order", ["LITTLE", "BIG"])
def test_a_wav_is_read_whole_and_refused_where_it_is_cut(subtype, order):
    samples = rising(8_000)
    try:
        content = encoded(samples, 8_000, format="WAV", subtype=subtype, endian=order)
    except soundfile.LibsndfileError:
        pytest.skip(f"no {subtype} WAV of that byte order")
    waveform, _ = read_audio(content)
    assert len(samples) <= waveform.size <= len(samples) + 1_024  # up to a block
    if order == "LITTLE":  # FFmpeg reads no RIFX
        assert waveform.size == samples_by_pyav(content, "wav").size
    start = content.index(b"data") + 8
    for share in (0.99, 0.95, 0.7, 0.3, 0.01):
        cut_short(content[: start + int(share * (len(content) - start))], "cut short: the header claims [0-9]+ bytes")


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "GSM610"])
def test_a_cut_wav_whose_length_was_mended_is_refused_by_its_number_of_samples(subtype):
    content = encoded(rising(8_000), 8_000, format="WAV", subtype=subtype)
    start = content.index(b"data") + 8
    half = content[: start + (len(content) - start) // 2]
    half = half[: start - 4] + struct.pack("<I", len(half) - start) + half[start:]
    cut_short(half, "cut short: the header claims [0-9]+ frames, the file holds")


def test_an_adpcm_wav_written_to_a_pipe_is_read():
    content = encoded(rising(8_000), 8_000, format="WAV", subtype="IMA_ADPCM")
    place = content.index(b"data") + 4
    piped = content[:place] + b"\xff" * 4 + content[place + 4 :]
    np.testing.assert_array_equal(read_audio(piped)[0], read_audio(content)[0])


@pytest.mark.parametrize("blocks", [22, 23])
def test_gsm_ends_with_its_last_block(blocks):
    """The library takes the byte of padding behind an odd number of blocks for one more, of noise."""
    content = encoded(rising(8_000)[: 320 * blocks], 8_000, format="WAV", subtype="GSM610")
    waveform, _ = read_audio(content)
    np.testing.assert_allclose(waveform, samples_by_pyav(content, "wav") / 32_768, atol=1e-4)
