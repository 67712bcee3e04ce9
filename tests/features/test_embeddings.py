"""Frozen embeddings: what a pass over each clip alone would give, at the level that the encoder was trained at."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from transformers import AutoModel, BertConfig, Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

from burst2vec import Burst2VecConfig, Burst2VecFeatureExtractor, Burst2VecForMultiTask
from burst2vec.audio import highpass
from burst2vec.errors import CorpusError
from burst2vec.features import (
    embeddings,
    extract_features,
    find_feature_set,
    folder_name,
    read_features,
    write_features,
)
from burst2vec.waveforms import normalise_level
from tests.conftest import FAMILIES, noise_clips, tiny_encoder_config, tiny_model

LENGTHS = (400, 16_000, 3_210, 1_000, 8_000)


def save_encoder(folder, family="hubert", style="base", do_normalize=True, **changes):
    """A speech encoder as it lies on the Hub, with random weights; and the model."""
    torch.manual_seed(0)
    model = AutoModel.from_config(tiny_encoder_config(family, style, **changes)).eval()
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=do_normalize).save_pretrained(folder)
    return model


def save_burst2vec(folder, extractor=None, **kwargs):
    model = tiny_model(**kwargs)
    model.save_pretrained(folder)
    (extractor or Burst2VecFeatureExtractor()).save_pretrained(folder)
    return model


def embed(folder, clips):
    return find_feature_set(f"embedding:{folder}").vectors(clips)


def dataset_of(folder, clips):
    folder.mkdir()
    for number, clip in enumerate(clips):
        soundfile.write(folder / f"c{number}.wav", clip, 16_000, subtype="FLOAT")
    audio = [{"bytes": None, "path": str(folder / f"c{number}.wav")} for number in range(len(clips))]
    return Dataset.from_dict({"file_id": [f"c{number}" for number in range(len(clips))], "audio": audio})


@pytest.fixture(autouse=True)
def in_float32_and_afresh(monkeypatch):
    monkeypatch.setattr(embeddings, "bf16_is_native", lambda: False)
    embeddings._load.cache_clear()


# The numbers


@pytest.mark.parametrize("style", ["base", "large"])
@pytest.mark.parametrize("family", FAMILIES)
def test_values_are_mean_and_standard_deviation_of_each_clip_alone_by_the_bare_encoder(family, style, tmp_path):
    model = save_encoder(tmp_path, family, style)
    clips = [3 * clip + 0.5 for clip in noise_clips(*LENGTHS)]
    theirs = Wav2Vec2FeatureExtractor.from_pretrained(tmp_path)
    for clip, found in zip(clips, embed(tmp_path, clips), strict=True):
        values = theirs(clip, sampling_rate=16_000, return_tensors="pt")["input_values"]
        with torch.no_grad():
            frames = model(values).last_hidden_state[0].double().numpy()
        # One frame has no deviation; the pooling's ε leaves 1e-4 there.
        expected = np.concatenate([frames.mean(axis=0), frames.std(axis=0).clip(1e-4)])
        np.testing.assert_allclose(found, expected, atol=2e-4)


def test_an_encoder_that_asks_for_no_level_takes_clips_as_recorded(tmp_path):
    model = save_encoder(tmp_path, style="large", do_normalize=False)
    (clip,) = noise_clips(2_000)
    quiet, loud = embed(tmp_path, [0.01 * clip, clip])
    with torch.no_grad():
        mean = model(torch.from_numpy(0.01 * clip)[None]).last_hidden_state[0].mean(dim=0)
    np.testing.assert_allclose(quiet[:32], mean, atol=1e-4)
    assert np.abs(quiet - loud).max() > 0.01
    assert find_feature_set(f"embedding:{tmp_path}").made_by()["level"] is None


def test_silence_has_a_finite_embedding(tmp_path):
    for style in ("base", "large"):
        save_encoder(tmp_path / style, style=style)
        assert np.isfinite(embed(tmp_path / style, [np.zeros(400, np.float32)])).all()


@pytest.mark.parametrize(
    ("hidden_size", "heads", "style", "size"), [(1024, 16, "large", 2_048), (768, 12, "base", 1_536)]
)
def test_the_published_shapes_have_the_published_sizes(hidden_size, heads, style, size, tmp_path):
    save_encoder(
        tmp_path,
        style=style,
        hidden_size=hidden_size,
        num_attention_heads=heads,
        num_hidden_layers=1,
        conv_dim=[512] * 7,
        num_conv_pos_embedding_groups=16,
    )
    made = find_feature_set(f"embedding:{tmp_path}")
    assert made.size == size == len(set(made.names()))
    assert made.names()[0] == "mean_0" and made.names()[-1] == f"deviation_{hidden_size - 1}"
    assert made.vectors(noise_clips(400, 500)).shape == (2, size)
    vector, note = made.vector(noise_clips(400)[0])
    assert vector.shape == (size,) and vector.dtype == np.float32 and note == ""


# A saved Burst2Vec model


def test_a_saved_model_gives_its_own_pooling_of_its_own_encoder(tmp_path):
    model = save_burst2vec(tmp_path, style="large", pooling="max")
    clips = noise_clips(*LENGTHS)
    batch = Burst2VecFeatureExtractor()(clips, sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        expected = model.pooling(*model.encoder(batch["input_values"], batch["attention_mask"]))
    np.testing.assert_allclose(embed(tmp_path, clips), expected, atol=1e-4)
    assert find_feature_set(f"embedding:{tmp_path}").names()[:2] == ("max_0", "max_1")


def test_a_convolutional_network_with_ten_hidden_units_gives_twenty_numbers(tmp_path):
    described = {"kind": "waveform_cnn", "hidden_size": 10}
    config = Burst2VecConfig(encoder_config=described, tasks="exvo", pooling="statistics", trunk="identity")
    torch.manual_seed(0)
    Burst2VecForMultiTask(config).save_pretrained(tmp_path)
    Burst2VecFeatureExtractor(target_rms_dbfs=-20).save_pretrained(tmp_path)
    made = find_feature_set(f"embedding:{tmp_path}")
    assert made.size == 20 and made.names()[9:11] == ("mean_9", "deviation_0")
    assert made.made_by()["level"] == -20
    together, alone = made.vectors(noise_clips(16_000, 8_000)), made.vectors(noise_clips(16_000, 8_000)[1:])
    np.testing.assert_allclose(together[1], alone[0], atol=1e-5)
    assert together.std() > 0


@pytest.mark.parametrize("read", [{"heads_read": "frames"}, {"pooling": "statistics"}])
def test_the_embedding_of_a_network_over_waveforms_is_of_its_hidden_units_before_their_activation(read, tmp_path):
    """One tap of 1, windows of 400 samples: their means are 1 and 3, the unit 2 · x − 3 gives −1 and 3."""
    described = {"kind": "waveform_cnn", "window_seconds": 0.025, "hop_seconds": 0.025, "hidden_size": 1}
    described |= {"conv_dim": [1], "conv_kernel": [1], "conv_stride": [1], "pools": [1]}
    model = Burst2VecForMultiTask(Burst2VecConfig(encoder_config=described, tasks="exvo", trunk="identity", **read))
    with torch.no_grad():
        model.encoder.convolutions[0].weight.fill_(1.0)
        model.encoder.hidden.weight.fill_(2.0)
        model.encoder.hidden.bias.fill_(-3.0)
    model.save_pretrained(tmp_path)
    Burst2VecFeatureExtractor(target_rms_dbfs=None).save_pretrained(tmp_path)
    clip = np.repeat(np.float32([1, 3]), 400)
    np.testing.assert_allclose(embed(tmp_path, [clip]), [[1.0, 2.0]], atol=1e-6)  # and not 1.5 and 1.5
    assert find_feature_set(f"embedding:{tmp_path}").names() == ("mean_0", "deviation_0")


def test_where_each_task_has_its_pooling_they_come_one_after_the_other(tmp_path):
    model = save_burst2vec(tmp_path, pooling="attentive", trunk="identity")
    for name in model.tasks:
        torch.nn.init.normal_(model.pooling[name].score.weight)
    model.save_pretrained(tmp_path)
    clips = noise_clips(4_000)
    batch = Burst2VecFeatureExtractor()(clips, sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        frames = model.encoder(**{"waveforms": batch["input_values"], "attention_mask": batch["attention_mask"]})
        expected = torch.cat([model.pooling[name](*frames) for name in ("emotion", "age", "country")], dim=-1)
    np.testing.assert_allclose(embed(tmp_path, clips), expected, atol=1e-4)
    names = find_feature_set(f"embedding:{tmp_path}").names()
    assert names[0] == "emotion_attentive_0" and names[-1] == "country_attentive_31"


def test_clips_go_through_a_saved_models_steps_and_to_its_level(tmp_path):
    steps = ["highpass", {"resample": {"new_rate": 8_000}}]
    save_burst2vec(
        tmp_path / "steps", Burst2VecFeatureExtractor(target_rms_dbfs=-30, preprocess=steps[:1]), style="large"
    )
    save_burst2vec(tmp_path / "plain", Burst2VecFeatureExtractor(target_rms_dbfs=None), style="large")
    (clip,) = noise_clips(8_000)
    expected = embed(tmp_path / "plain", [normalise_level(highpass(clip), -30)])
    np.testing.assert_allclose(embed(tmp_path / "steps", [clip]), expected, atol=1e-5)
    Burst2VecFeatureExtractor(preprocess=steps).save_pretrained(tmp_path / "steps")
    assert np.isfinite(embed(tmp_path / "steps", [clip])).all()  # back at 16 kHz
    save_burst2vec(tmp_path / "cut", Burst2VecFeatureExtractor(target_rms_dbfs=None, trim_below_db=20), style="large")
    (kept,) = embed(tmp_path / "plain", [np.pad(clip, (1_600, 1_600))])
    np.testing.assert_allclose(embed(tmp_path / "cut", [np.pad(clip, 8_000)])[0], kept, atol=1e-5)
    assert find_feature_set(f"embedding:{tmp_path / 'cut'}").made_by()["trim_below_db"] == 20
    made_by = find_feature_set(f"embedding:{tmp_path / 'steps'}").made_by()
    assert [list(step) for step in made_by["preprocess"]] == [["highpass"], ["resample"]]


def test_a_clip_that_the_steps_refuse_is_named_among_the_others(tmp_path, monkeypatch):
    save_burst2vec(tmp_path / "model", Burst2VecFeatureExtractor(preprocess=["highpass"]))
    whole = embeddings.apply_transforms
    monkeypatch.setattr(
        embeddings,
        "apply_transforms",
        lambda clip, rate, steps: (clip[:300], rate) if clip.size == 900 else whole(clip, rate, steps),
    )
    dataset = dataset_of(tmp_path / "wav", noise_clips(800, 900, 1_000))
    with pytest.raises(CorpusError, match="^c1: .*300 samples"):
        extract_features(dataset, f"embedding:{tmp_path / 'model'}")


# A dataset and its tables


def test_a_dataset_has_in_its_order_what_each_clip_has_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(embeddings, "BATCH_SIZE_CPU", 2)
    monkeypatch.setattr(embeddings, "BATCH_SIZE_ACCELERATOR", 2)
    save_encoder(tmp_path / "model")
    clips = noise_clips(*LENGTHS)
    found = extract_features(dataset_of(tmp_path / "wav", clips), f"embedding:{tmp_path / 'model'}", num_proc=2)
    assert found["file_id"][:] == [f"c{number}" for number in range(5)] and found["note"][:] == [""] * 5
    alone = np.concatenate([embed(tmp_path / "model", [clip]) for clip in clips])
    np.testing.assert_allclose(np.array(found["features"][:]), alone, atol=2e-4)


def test_tables_tell_the_weights_and_not_where_they_lie(tmp_path):
    save_encoder(tmp_path / "my model")
    dataset = dataset_of(tmp_path / "wav", noise_clips(400, 800))
    name = f"embedding:{tmp_path / 'my model'}"
    done = write_features({"train": dataset}, name, tmp_path / "out")
    digest = find_feature_set(name).made_by()["encoder"]
    assert done.folder.name == folder_name(name) == f"embedding-my-model-{digest[:8]}"
    heading = (done.folder / "features.json").read_text()
    assert str(tmp_path) not in heading and json.loads(heading)["feature_set"] == done.folder.name
    assert json.loads(heading)["made_by"] == {
        "encoder": digest,
        "pooling": "statistics",
        "level": "unit variance",
        "preprocess": [],
        "precision": "float32",
        "version": embeddings.VERSION,
    }
    read = read_features(done.folder, tmp_path / "cache")
    np.testing.assert_array_equal(
        np.array(read.splits["train"]["features"][:], np.float32),
        np.array(extract_features(dataset, name)["features"][:]),
    )
    shutil.move(tmp_path / "my model", tmp_path / "elsewhere" / "my model")
    again = write_features({"train": dataset}, f"embedding:{tmp_path / 'elsewhere' / 'my model'}/", tmp_path / "out")
    assert (again.made, again.kept, again.folder) == (0, 2, done.folder)


def test_other_weights_in_the_same_folder_are_another_set(tmp_path):
    save_encoder(tmp_path)
    name = f"embedding:{tmp_path}"
    before, called = find_feature_set(name).made_by(), folder_name(name)
    weights = load_file(tmp_path / "model.safetensors")
    weights["encoder.layer_norm.bias"][3] += 1
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    after = find_feature_set(name).made_by()
    assert after.pop("encoder") != before.pop("encoder") and after == before and folder_name(name) != called


def test_what_is_for_training_only_is_no_part_of_the_digest(tmp_path):
    save_encoder(tmp_path)
    digest = find_feature_set(f"embedding:{tmp_path}").made_by()["encoder"]
    weights = load_file(tmp_path / "model.safetensors")
    del weights["masked_spec_embed"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert find_feature_set(f"embedding:{tmp_path}").made_by()["encoder"] == digest


def test_bfloat16_is_used_where_the_machine_has_it_and_the_tables_say_so(tmp_path, monkeypatch):
    save_encoder(tmp_path)
    clips = noise_clips(4_000, 8_000)
    exact = embed(tmp_path, clips)
    monkeypatch.setattr(embeddings, "bf16_is_native", lambda: True)
    embeddings._load.cache_clear()
    made = find_feature_set(f"embedding:{tmp_path}")
    assert made.made_by()["precision"] == "bfloat16"
    rounded = made.vectors(clips)
    assert rounded.dtype == np.float32 and 0 < np.abs(rounded - exact).max() < 0.05


def test_nothing_of_the_encoder_learns(tmp_path):
    save_encoder(tmp_path)
    frozen = find_feature_set(f"embedding:{tmp_path}").vectors
    assert not frozen.training and not any(parameter.requires_grad for parameter in frozen.parameters())


# What is refused


def refused(folder, message):
    with pytest.raises(CorpusError, match=f"(?s)^embedding:.*{message}"):
        find_feature_set(f"embedding:{folder}")


def test_a_checkpoint_that_is_not_there_is_refused(tmp_path):
    refused(tmp_path / "nowhere", "nowhere")
    refused(tmp_path, "config.json")
    save_encoder(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    refused(tmp_path, "model.safetensors")
    torch.save({}, tmp_path / "pytorch_model.bin")
    refused(tmp_path, "lacks .* weights")
    (tmp_path / "pytorch_model.bin").write_bytes(b"no pickle")
    refused(tmp_path, "nothing of it was run")


def test_a_checkpoint_of_pickles_alone_gives_the_same_vectors(tmp_path):
    save_encoder(tmp_path)
    clips = noise_clips(4000, 8000)
    expected = find_feature_set(f"embedding:{tmp_path}").vectors(clips)
    torch.save(load_file(tmp_path / "model.safetensors"), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    assert np.array_equal(find_feature_set(f"embedding:{tmp_path}").vectors(clips), expected)


@pytest.mark.parametrize("name", ["my-hubert", "./a/b", "a/b/c", "~/nowhere/x", "/nowhere/x"])
def test_what_can_be_no_name_on_the_hub_is_not_asked_for_there(name, monkeypatch):
    monkeypatch.setattr(embeddings, "_load", lambda *_: pytest.fail("asked for"))
    with pytest.raises(CorpusError, match="no such folder, and no name on the Hub, which is OWNER/NAME; say where it"):
        find_feature_set(f"embedding:{name}")


def test_a_checkpoint_that_is_cut_off_or_lacks_weights_is_refused(tmp_path):
    save_encoder(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["encoder.layer_norm.bias"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    refused(tmp_path, "lacks 1 weights, such as encoder.layer_norm.bias")
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    refused(tmp_path, "")


def test_a_checkpoint_must_say_how_it_wants_its_clips(tmp_path):
    save_encoder(tmp_path)
    Wav2Vec2FeatureExtractor(sampling_rate=8_000).save_pretrained(tmp_path)
    refused(tmp_path, "it takes 8000 Hz; clips here have 16000 Hz")
    WhisperFeatureExtractor().save_pretrained(tmp_path)
    refused(tmp_path, "names WhisperFeatureExtractor, not Wav2Vec2FeatureExtractor")
    (tmp_path / "preprocessor_config.json").unlink()
    refused(tmp_path, "preprocessor_config.json")


def test_a_model_that_takes_no_waveforms_is_refused(tmp_path):
    small = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=8)
    AutoModel.from_config(small).save_pretrained(tmp_path / "bert")
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path / "bert")
    refused(tmp_path / "bert", "model_type .bert. is not a speech encoder")
    config = Burst2VecConfig(encoder_config={"kind": "vector", "features": 3}, trunk="identity")
    Burst2VecForMultiTask(config).save_pretrained(tmp_path / "vector")
    Burst2VecFeatureExtractor().save_pretrained(tmp_path / "vector")
    refused(tmp_path / "vector", "takes vectors")


def test_a_name_on_the_hub_keeps_its_last_part_in_the_folders_name(tmp_path, monkeypatch):
    save_encoder(tmp_path)
    frozen = embeddings._find(str(tmp_path))
    monkeypatch.setattr(embeddings, "_load", lambda checkpoint, states: frozen if not states else None)
    assert folder_name("embedding:facebook/hubert-base-ls960") == f"embedding-hubert-base-ls960-{frozen.digest[:8]}"
    assert not Path("facebook").exists()
