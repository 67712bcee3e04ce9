"""One bad clip among many never ends a run unasked, and is never silently lost."""

import logging
import os

import numpy as np
import pytest
import soundfile
from datasets import Dataset, Features, Value

from burst2vec import load_bursts
from burst2vec.data.clips import FINDINGS, BadClip, check_clips, examine_clips, examine_waveform, read_clip
from burst2vec.errors import AudioError

from .corpora_on_disk import ROWS, write_hume_vb, write_wav

ELEVEN = [[f"[{clip:05d}]", "Train", "A", "China", "25", *["0.5"] * 10] for clip in range(1, 12)]


@pytest.fixture
def eleven(tmp_path):
    """A folder of eleven clips and a function that loads it."""
    folder = write_hume_vb(tmp_path / "hume", ELEVEN, wavs=11)
    return folder / "wav", lambda: load_bursts("hume_vb", data_dir=folder, cache_dir=tmp_path / "cache")["train"]


def test_a_clip_is_read_from_its_path_or_its_bytes(tmp_path):
    write_wav(tmp_path / "clip.wav")
    path = str(tmp_path / "clip.wav")
    waveform = read_clip({"bytes": None, "path": path}, "00001")
    assert waveform.shape == (4_000,) and waveform.dtype == np.float32
    content = (tmp_path / "clip.wav").read_bytes()
    np.testing.assert_array_equal(read_clip({"bytes": content, "path": "elsewhere.wav"}, "00001"), waveform)
    np.testing.assert_array_equal(read_clip({"bytes": content, "path": None}, "00001"), waveform)


def test_a_clip_that_cannot_be_read_is_named_with_its_file():
    with pytest.raises(AudioError, match=r"00001 \(nowhere\.wav\): cannot be read"):
        read_clip({"bytes": None, "path": "nowhere.wav"}, "00001")
    with pytest.raises(AudioError, match="00001: the file is empty"):
        read_clip({"bytes": b"", "path": None}, "00001")
    with pytest.raises(AudioError, match="00001: has neither bytes nor a path"):
        read_clip({"bytes": None, "path": None}, "00001")


def test_good_clips_get_their_length_and_stay_as_they_were(eleven):
    _, load = eleven
    checked, bad = check_clips(load(), on_bad_clip="raise")
    assert checked["samples"][:] == list(range(4_001, 4_012)) and not bad
    assert checked.features["samples"].dtype == "int32"
    assert checked.remove_columns("samples")[:] == load()[:]


def test_bad_clips_are_skipped_counted_and_named(eleven, caplog):
    wav, load = eleven
    (wav / "00002.wav").unlink()
    (wav / "00004.wav").write_bytes(b"#EXTM3U\nhttp://localhost:1/\n")
    write_wav(wav / "00006.wav", samples=399)
    soundfile.write(wav / "00008.wav", np.full(4_000, np.nan), 16_000, subtype="FLOAT")
    with caplog.at_level(logging.WARNING):
        checked, bad = check_clips(load())
    assert [clip.file_id for clip in bad] == ["00002", "00004", "00006", "00008"]
    assert isinstance(bad[0], BadClip)
    for clip, reason in zip(bad, ["No such file", "not audio", "399 samples", "sample 0 is nan"], strict=True):
        assert reason in clip.reason and f"{clip.file_id}.wav" in clip.reason
    assert checked["file_id"][:] == ["00001", "00003", "00005", "00007", "00009", "00010", "00011"]
    assert min(checked["samples"]) >= 400
    assert "4 of 11 clips cannot be used and are skipped: 00002 (" in caplog.text and "; …" in caplog.text


def test_the_first_bad_clip_raises_where_that_is_asked_for(eleven):
    wav, load = eleven
    (wav / "00003.wav").write_bytes(b"")
    with pytest.raises(AudioError, match=r"00003 \(.*00003\.wav\): the file is empty.*on_bad_clip='skip' drops"):
        check_clips(load(), on_bad_clip="raise")


def test_an_earlier_pass_that_skipped_does_not_hide_the_bad_clip(eleven):
    wav, load = eleven
    (wav / "00003.wav").write_bytes(b"")
    assert len(check_clips(load(), on_bad_clip="skip")[1]) == 1
    with pytest.raises(AudioError, match="00003"):
        check_clips(load(), on_bad_clip="raise")


def test_silent_clips_are_kept_and_counted(eleven, caplog):
    wav, load = eleven
    write_wav(wav / "00003.wav", level=0.0)
    with caplog.at_level(logging.WARNING):
        checked, bad = check_clips(load())
    assert len(checked) == 11 and not bad
    assert "1 of 11 clips are silent" in caplog.text


def test_more_bad_than_good_clips_are_too_many_to_skip(eleven):
    wav, load = eleven
    for clip in range(1, 7):
        (wav / f"{clip:05d}.wav").write_bytes(b"")
    with pytest.raises(AudioError, match="6 of 11 clips cannot be used, too many to skip: 00001"):
        check_clips(load())
    write_wav(wav / "00006.wav")
    assert len(check_clips(load())[0]) == 6


def test_a_dataset_without_clips_is_refused(eleven):
    _, load = eleven
    with pytest.raises(AudioError, match="no clips to check"):
        check_clips(load().select([]))


def test_what_to_do_with_bad_clips_has_two_answers(eleven):
    _, load = eleven
    with pytest.raises(ValueError, match="on_bad_clip 'ignore' is not one of skip, raise"):
        check_clips(load(), on_bad_clip="ignore")


def test_clips_are_decoded_once_until_a_file_changes(eleven, monkeypatch):
    wav, load = eleven
    check_clips(load())
    decoded = []
    monkeypatch.setattr("burst2vec.data.clips.load_audio", lambda *args, **kwargs: decoded.append(1) or np.ones(500))
    check_clips(load())
    check_clips(load(), on_bad_clip="raise")
    assert not decoded
    state = os.stat(wav / "00005.wav")
    os.utime(wav / "00005.wav", ns=(state.st_atime_ns, state.st_mtime_ns + 1_000_000))
    assert set(check_clips(load())[0]["samples"]) == {500}
    assert len(decoded) == 11


def test_findings_of_other_columns_in_the_cache_are_not_taken_for_these(eleven, monkeypatch):
    _, load = eleven
    older = Features({**FINDINGS, "loudness": Value("float32")})
    with monkeypatch.context() as patched:
        patched.setattr("burst2vec.data.clips.FINDINGS", older)
        patched.setattr(
            "burst2vec.data.clips._examine",
            lambda file_id, audio, raise_if_bad: {name: 0 for name in older} | {"doubt": "", "problem": ""},
        )
        assert "loudness" in examine_clips(load()).column_names
    assert examine_clips(load()).column_names == list(FINDINGS)


def test_two_processes_find_what_one_finds(eleven):
    wav, load = eleven
    (wav / "00003.wav").unlink()
    checked, bad = check_clips(load(), num_proc=2)
    assert [clip.file_id for clip in bad] == ["00003"] and len(checked) == 10


def test_clips_in_memory_and_in_part_are_checked(eleven):
    wav, load = eleven
    part = load().select([3, 1])
    assert check_clips(part)[0]["samples"][:] == [4_004, 4_002]
    content = (wav / "00001.wav").read_bytes()
    held = Dataset.from_dict({"file_id": ["a", "b"], "audio": [{"bytes": content, "path": None}] * 2})
    assert check_clips(held)[0]["samples"][:] == [4_001, 4_001]


def test_test_rows_are_checked_like_others(tmp_path):
    corpus = load_bursts("hume_vb", data_dir=write_hume_vb(tmp_path / "h", ROWS), cache_dir=tmp_path / "cache")
    assert check_clips(corpus["test"])[0]["samples"][:] == [4_005]


def test_what_is_measured_agrees_with_the_plain_way():
    waveform = np.random.default_rng(0).normal(size=16_000).astype(np.float32) * 0.3
    waveform[3_000:9_000] *= 1e-4
    waveform = waveform.clip(-0.99, 0.99)
    waveform[100:110] = -1.25
    waveform = waveform[:15_990]  # 49 frames of 320 samples and one of 310
    frames = [waveform[start : start + 320].astype(np.float64) for start in range(0, 15_990, 320)]
    quiet = [20 * np.log10(np.sqrt(np.mean(frame**2))) < -60 for frame in frames]
    found = examine_waveform(waveform)
    assert found["samples"] == 15_990 and found["peak"] == 1.25
    assert found["rms"] == pytest.approx(np.sqrt(np.mean(waveform.astype(np.float64) ** 2)), rel=1e-6)
    assert found["clipped"] == sum(abs(float(sample)) >= np.float32(0.999) for sample in waveform) >= 10
    assert found["silent_ratio"] == sum(quiet) / 50 and not found["silent"]


@pytest.mark.parametrize("level", [1e15, 1e20, 1e30, 3e38])
def test_absurd_samples_have_a_finite_level(level):
    found = examine_waveform(np.full(4_100, level, dtype=np.float32))
    assert found["rms"] == pytest.approx(level, rel=1e-6) and found["peak"] == pytest.approx(level, rel=1e-6)


@pytest.mark.parametrize("tail", [0, 80])
def test_a_frame_is_silent_below_minus_60_dbfs(tail):
    below, above = (np.full(640 + tail, level, dtype=np.float32) for level in (0.0009, 0.0011))
    assert examine_waveform(below)["silent"] and examine_waveform(below)["silent_ratio"] == 1.0
    assert not examine_waveform(above)["silent"] and examine_waveform(above)["silent_ratio"] == 0.0


def test_a_clip_of_zeros_is_silent_and_measured_without_a_warning():
    found = examine_waveform(np.zeros(500, dtype=np.float32))
    assert (found["peak"], found["rms"], found["clipped"], found["silent"]) == (0.0, 0.0, 0, True)


def test_full_scale_counts_as_clipped_and_what_no_recorder_leaves_does_not():
    for level, count in (
        (0.998, 0),
        (0.999, 400),
        (-1.0, 400),
        (1.2, 400),
        (1.5, 0),
    ):  # what is over 3 dBFS was scaled since
        assert examine_waveform(np.full(400, level, dtype=np.float32))["clipped"] == count


def test_a_digest_is_of_the_sound_and_changes_with_one_sample():
    waveform = np.random.default_rng(0).normal(size=1_000).astype(np.float32)
    other = waveform.copy()
    other[500] += 1e-6
    digests = [examine_waveform(sound)["digest"] for sound in (waveform, waveform.copy(), other, waveform[:-1])]
    assert digests[0] == digests[1] and len(set(digests)) == 3


def test_findings_of_every_clip_in_order_with_the_reason_of_an_unreadable_one(eleven):
    wav, load = eleven
    (wav / "00002.wav").write_bytes(b"")
    findings = examine_clips(load())
    assert findings.features == FINDINGS and len(findings) == 11
    assert findings["samples"][:3] == [4_001, 0, 4_003] and findings["peak"][1] == 0.0
    assert findings["problem"][0] == "" and "00002.wav): the file is empty" in findings["problem"][1]
    assert findings["rms"][0] == pytest.approx(0.1, rel=0.05)
    assert len(set(findings["digest"])) == 11


def test_no_clips_have_no_findings(eleven):
    _, load = eleven
    findings = examine_clips(load().select([]))
    assert len(findings) == 0 and findings.features == FINDINGS


def test_checking_finds_what_examining_cached_whatever_the_number_of_processes(eleven, monkeypatch):
    _, load = eleven
    examine_clips(load(), num_proc=2)
    monkeypatch.setattr("burst2vec.data.clips.load_audio", lambda *args, **kwargs: pytest.fail("decoded again"))
    assert check_clips(load(), on_bad_clip="raise")[0]["samples"][0] == 4_001
