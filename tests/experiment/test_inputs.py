"""Chosen clips on their way into a run."""

import numpy as np
import soundfile

from burst2vec.data.clips import read_clip
from burst2vec.experiment.inputs import prepare_clips, read_corpora
from burst2vec.experiment.sections import DataArguments
from burst2vec.tasks import TASK_PRESETS
from tests.conftest import noise_clips


def test_clips_that_are_decoded_once_are_the_same_clips(tmp_path):
    for number, (clip, rate) in enumerate(zip(noise_clips(9000, 12000), (16_000, 44_100), strict=True)):
        soundfile.write(tmp_path / f"{number + 1:06d}-01-1.mp3", clip, rate)

    def clips(**settings):
        data = DataArguments("emogator", str(tmp_path), cache_dir=str(tmp_path / "cache"), **settings)
        (made,) = prepare_clips(read_corpora(data, TASK_PRESETS["emogator"], for_prediction=True), data, ()).values()
        return made.dataset

    recorded, kept = clips(), clips(decode_once=True)
    assert recorded[0]["audio"]["bytes"] is None and kept[0]["audio"]["bytes"][:4] == b"RIFF"
    assert recorded["samples"][:] == kept["samples"][:]
    for before, after in zip(recorded["audio"], kept["audio"], strict=True):
        np.testing.assert_allclose(read_clip(after, "kept"), read_clip(before, "recorded"), atol=1e-6)
