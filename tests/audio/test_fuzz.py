"""Whatever is done to the bytes of a recording, it is read or refused by name: nothing else leaves the decoder."""

import io

import numpy as np
import pytest
import soundfile

from burst2vec.audio import load_audio
from burst2vec.data.clips import check_clips
from burst2vec.errors import AudioError
from tests.audio.test_decode import encoded_by_pyav, tone
from tests.data.corpora_on_disk import write_wav

PYAV = {"webm": ("webm", "libopus"), "m4a": ("ipod", "aac")}
SOUNDFILE = {
    "wav": {"format": "WAV"},
    "adpcm": {"format": "WAV", "subtype": "IMA_ADPCM"},
    "flac": {"format": "FLAC"},
    "ogg": {"format": "OGG"},
    "mp3": {"format": "MP3"},
}
VARIANTS = 60  # of each format


def recording(kind):
    if kind in PYAV:
        return encoded_by_pyav(tone(0.3, 48_000)[None], *PYAV[kind])
    file = io.BytesIO()
    soundfile.write(file, tone(0.3), 16_000, **SOUNDFILE[kind])
    return file.getvalue()


def damaged(content, variant):
    """One to four bytes changed, every other time within the first 300; sometimes a piece taken out, or doubled."""
    random = np.random.default_rng(variant)
    changed = bytearray(content)
    reach = min(300, len(changed)) if variant % 2 else len(changed)
    for place in random.integers(reach, size=random.integers(1, 5)):
        changed[place] = random.integers(256)
    start, end = sorted(random.integers(len(changed), size=2))
    if variant % 5 == 0:
        del changed[start:end]
    elif variant % 7 == 0:
        changed[start:start] = changed[start:end]
    return bytes(changed)


@pytest.mark.parametrize("kind", [*PYAV, *SOUNDFILE])
def test_a_damaged_file_is_read_or_refused_by_name(kind):
    content = recording(kind)
    refused = 0
    for variant in range(VARIANTS):
        try:
            waveform = load_audio(damaged(content, variant), name=f"{kind} {variant}")
        except AudioError as error:
            assert str(error).startswith(f"{kind} {variant}: ")
            refused += 1
        else:
            assert np.isfinite(waveform).all() and 400 <= waveform.size <= 960_000
    assert refused > 0
    assert refused < VARIANTS or kind == "ogg"  # whose pages carry check sums


def test_a_codec_that_nobody_knows_is_refused():
    with pytest.raises(AudioError, match="^clip: its codec is not known; allowed:"):
        load_audio(recording("webm").replace(b"A_OPUS", b"A_OPUX"), name="clip")


@pytest.mark.parametrize(
    "leak", [AttributeError("'NoneType' …"), ValueError("odd"), OverflowError("big"), MemoryError(), AssertionError()]
)
@pytest.mark.parametrize("library", ["soundfile", "av"])
def test_whatever_a_decoder_raises_is_said_of_the_file(monkeypatch, library, leak):
    pytest.importorskip("av")

    def stumble(*args, **kwargs):
        raise leak

    content = recording("wav" if library == "soundfile" else "webm")
    monkeypatch.setattr("soundfile.SoundFile" if library == "soundfile" else "av.open", stumble)
    with pytest.raises(AudioError, match=f"^clip: broken, or not audio: .*{type(leak).__name__} while decoding"):
        load_audio(content, name="clip")


def test_a_disk_that_fails_is_said_of_the_file(monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(5, "Input/output error")

    content = recording("wav")
    monkeypatch.setattr("soundfile.SoundFile", fail)
    with pytest.raises(AudioError, match="^clip: cannot be read: Input/output error"):
        load_audio(content, name="clip")


def test_a_damaged_webm_is_skipped_and_counted(tmp_path):
    from datasets import Dataset

    for clip in range(3):
        write_wav(tmp_path / f"{clip}.wav")
    (tmp_path / "3.webm").write_bytes(recording("webm").replace(b"A_OPUS", b"A_OPUX"))
    names = ["0.wav", "1.wav", "2.wav", "3.webm"]
    audio = [{"bytes": None, "path": str(tmp_path / name)} for name in names]
    checked, bad = check_clips(Dataset.from_dict({"file_id": names, "audio": audio}))
    assert len(checked) == 3 and [clip.file_id for clip in bad] == ["3.webm"]
    assert "codec is not known" in bad[0].reason
