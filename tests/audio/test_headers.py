"""Headers that contradict themselves are seen; those that writers leave are not suspected."""

import io
import struct

import numpy as np
import pytest
import soundfile

from burst2vec.audio import read_audio
from burst2vec.audio.headers import contradiction

SOUND = 0.1 * np.random.default_rng(0).standard_normal((8_001, 2))


def encoded(format="WAV", subtype=None, channels=1):
    file = io.BytesIO()
    soundfile.write(file, SOUND[:, :channels], 16_000, format=format, subtype=subtype)
    return file.getvalue()


def with_field(content, offset, layout, value):
    content = bytearray(content)
    struct.pack_into(layout, content, offset, value)
    return bytes(content)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("format", "subtype"),
    [(format, subtype) for format in ("WAV", "WAVEX") for subtype in soundfile.available_subtypes(format)]
    + [("FLAC", subtype) for subtype in ("PCM_S8", "PCM_16", "PCM_24")]
    + [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)],
)
def test_what_libsndfile_writes_is_not_suspected(format, subtype, channels):
    try:
        content = encoded(format, subtype, channels)
    except soundfile.LibsndfileError:
        pytest.skip(f"libsndfile writes no {subtype} of {channels} channels")
    assert contradiction(content) == ""


@pytest.mark.parametrize(
    ("offset", "layout", "value", "found"),
    [
        (4, "<I", 16_024, "16032 bytes in all, and the file has 16046"),
        (4, "<I", 2_000, "2008 bytes in all, and the file has 16046"),
        (4, "<I", 1_000_000, "1000008 bytes in all, and the file has 16046"),
        (22, "<H", 2, "2 bytes a frame, and 2 channels of 16 bits are 4"),
        (24, "<I", 44_100, "32000 bytes a second, and 44100 Hz of 2 bytes a frame are 88200"),
        (28, "<I", 99, "99 bytes a second, and 16000 Hz of 2 bytes a frame are 32000"),
        (32, "<H", 4, "4 bytes a frame, and 1 channels of 16 bits are 2"),
        (32, "<H", 0, "0 bytes a frame, and 1 channels of 16 bits are 2"),
        (34, "<H", 8, "2 bytes a frame, and 1 channels of 8 bits are 1"),
        (40, "<I", 15_999, "15999 bytes of sound, and 2 a frame"),
        (40, "<I", 8_000, "8002 bytes from byte 8044 on are in no chunk"),
    ],
)
def test_a_wav_header_that_decodes_and_contradicts_itself_is_seen(tmp_path, offset, layout, value, found):
    content = with_field(encoded(), offset, layout, value)
    read_audio(content)
    (tmp_path / "clip.wav").write_bytes(content)
    assert contradiction(content) == contradiction(tmp_path / "clip.wav") == f"wav header: {found}"


def test_frames_counted_twice_must_agree():
    content = encoded(subtype="FLOAT", channels=2)
    place = content.index(b"fact") + 8
    assert contradiction(with_field(content, place, "<I", 16_002)) == ""  # all channels' samples
    assert "123 frames in one place, 8001 in another" in contradiction(with_field(content, place, "<I", 123))


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF])
def test_lengths_that_a_pipe_could_not_enter_are_not_suspected(length):
    assert contradiction(with_field(with_field(encoded(), 4, "<I", length), 40, "<I", length)) == ""


def test_other_chunks_are_stepped_over_and_a_padding_forgotten_is_forgiven():
    content = encoded()
    comment = b"LIST" + struct.pack("<I", 4) + b"INFO"
    longer = with_field(content[:36] + comment + content[36:] + comment, 4, "<I", len(content) + 2 * len(comment) - 8)
    assert contradiction(longer) == ""
    assert contradiction(with_field(content, 4, "<I", len(content))) == ""


@pytest.mark.parametrize(("rate", "found"), [(16_000, ""), (44_100, "44100 Hz, and the first frame has 16000")])
def test_flac_tells_its_rate_twice(rate, found):
    content = encoded("FLAC")
    packed = int.from_bytes(content[18:26], "big") & ((1 << 44) - 1)
    assert contradiction(content[:18] + (packed | rate << 44).to_bytes(8, "big") + content[26:]).endswith(found)


@pytest.mark.parametrize("cut", [4, 12, 20, 30, 43])
def test_a_header_cut_off_raises_nothing(cut):
    for format in ("WAV", "FLAC"):
        assert isinstance(contradiction(encoded(format)[:cut]), str)
