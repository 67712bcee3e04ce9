"""Recipes of Purohit et al. (2022): every printed row is here as printed, and the learner is the paper's."""

from pathlib import Path

import numpy as np
import pytest
import torch

from burst2vec import Burst2VecConfig, Burst2VecForMultiTask
from burst2vec.comparison.fusion_recipes import is_fusion, load_fusion
from burst2vec.experiment.execute import main
from burst2vec.experiment.recipes import load_recipe, parse_run
from burst2vec.tasks import resolve_tasks
from tests.conftest import exvo_labels

FOLDER = Path(__file__).parents[2] / "examples" / "recipes" / "frozen_embeddings"
PAPER = "Purohit et al. (2022), "
RAW_ER, ZFF_ER = "embedding:./runs/raw_emotion_class", "embedding:./runs/zff_emotion_class"
RAW_ASR, WAVLM = "embedding:./runs/phone_network", "embedding:microsoft/wavlm-large"
SCORES = ("emotion_ccc", "country_uar", "age_mae", "s_mtl")
# Table 2, validation: the row's feature sets, and its scores as Sys-1 and as Sys-2.
TABLE_2 = {
    "WavLM": ([WAVLM], (0.523, 0.542, 4.094, 0.382), (0.548, 0.536, 4.008, 0.390)),
    "HuBERT": (["embedding:facebook/hubert-large-ll60k"], (0.513, 0.508, 3.864, 0.385), (0.518, 0.508, 3.782, 0.391)),
    "Wav2Vec2": (["embedding:facebook/wav2vec2-base"], (0.390, 0.379, 3.903, 0.330), (0.385, 0.376, 3.895, 0.328)),
    "Raw(SER)": (["embedding:./runs/raw_speech_emotion"], (0.078, 0.342, 3.909, 0.153), (0.084, 0.332, 4.032, 0.158)),
    "Zff(SER)": (["embedding:./runs/zff_speech_emotion"], (0.083, 0.320, 4.021, 0.156), (0.087, 0.335, 3.897, 0.163)),
    "Raw(ASR)": ([RAW_ASR], (0.370, 0.477, 4.210, 0.333), (0.392, 0.465, 4.179, 0.338)),
    "Raw(ExVo)-ER": ([RAW_ER], (0.454, 0.331, 3.953, 0.327), (0.469, 0.328, 3.805, 0.334)),
    "Zff(ExVo)-ER": ([ZFF_ER], (0.385, 0.330, 3.886, 0.315), (0.386, 0.333, 3.868, 0.317)),
    "Raw(ExVo)-ER + Zff(ExVo)-ER": ([RAW_ER, ZFF_ER], (0.380, 0.335, 3.888, 0.316), (0.387, 0.334, 3.880, 0.317)),
    "Raw(ExVo)-ER + Raw(ASR)": ([RAW_ER, RAW_ASR], (0.440, 0.480, 4.159, 0.352), (0.452, 0.488, 4.144, 0.357)),
    "Raw(ExVo)-ER + WavLM": ([RAW_ER, WAVLM], (0.546, 0.542, 4.150, 0.383), (0.556, 0.522, 4.057, 0.386)),
}
TABLE_3 = {  # test, all Sys-2
    "WavLM": (0.546, 0.52, 4.389, 0.3684),
    "Raw(ExVo)-ER": (0.472, 0.321, 4.160, 0.319),
    "Raw(ASR)": (0.387, 0.413, 4.469, 0.3167),
    "Raw(ExVo)-ER + Raw(ASR)": (0.461, 0.412, 4.493, 0.3301),
}
TABLE_1 = {  # validation: UAR and WAR; raw or filtered
    "Raw(ExVo)-ER": ("emotion_class", 0.2851, 0.4397, []),
    "Zff(ExVo)-ER": ("emotion_class", 0.2079, 0.3432, ["zero_frequency_filter"]),
    "Raw(ExVo)-CR": ("country", 0.4370, 0.5001, []),
    "Zff(ExVo)-CR": ("country", 0.4565, 0.5146, ["zero_frequency_filter"]),
}
HYBRIDS = {  # whose emotion, age and country; split, and the printed scores
    "Table 2, row Raw(ExVo)-ER + Raw(ExVo)-CR, Sys-1": (
        ("sys1_raw_emotion_class", "sys1_raw_emotion_class", "raw_country"),
        ("validation", (0.454, 0.437, 3.953, 0.355)),
    ),
    "Table 2, row Raw(ExVo)-ER + Raw(ExVo)-CR, Sys-2": (
        ("sys2_raw_emotion_class", "sys2_raw_emotion_class", "raw_country"),
        ("validation", (0.469, 0.437, 3.805, 0.365)),
    ),
    "Table 2, row Raw(ExVo)-ER + Zff(ExVo)-CR, Sys-1": (
        ("sys1_raw_emotion_class", "sys1_raw_emotion_class", "zff_country"),
        ("validation", (0.454, 0.456, 3.953, 0.359)),
    ),
    "Table 2, row Raw(ExVo)-ER + Zff(ExVo)-CR, Sys-2": (
        ("sys2_raw_emotion_class", "sys2_raw_emotion_class", "zff_country"),
        ("validation", (0.469, 0.456, 3.805, 0.369)),
    ),
    "Table 3, row Hybrid, Sys-2": (
        ("sys2_wavlm_large", "sys2_raw_emotion_class", "sys2_wavlm_large"),
        ("test", (0.546, 0.52, 4.160, 0.379)),
    ),
}
READ = [load_fusion(path) if is_fusion(path) else load_recipe(path) for path in sorted(FOLDER.glob("*.yaml"))]
BY_ROW = {recipe.paper.removeprefix(PAPER): recipe for recipe in READ}


def printed(scores):
    return dict(zip(SCORES, scores, strict=True))


@pytest.mark.parametrize("config, units", [("Sys-1", [128, 64]), ("Sys-2", [256, 128])])
@pytest.mark.parametrize("row", TABLE_2)
def test_a_row_of_table_2_is_a_recipe_with_its_embeddings_and_printed_scores(row, config, units):
    recipe = BY_ROW[f"Table 2, row {row}, {config}"]
    features, *by_config = TABLE_2[row]
    assert recipe.model["features"] == features
    assert recipe.model["trunk"] == {"kind": "shared", "hidden_sizes": units, "layer_norm": "none", "dropout": 0.0}
    expected = {"validation": printed(by_config[int(config[-1]) - 1])}
    if config == "Sys-2" and row in TABLE_3:
        expected["test"] = printed(TABLE_3[row])
    assert recipe.reported_scores == expected


@pytest.mark.parametrize("row", TABLE_1)
def test_a_row_of_table_1_is_a_network_that_validation_only_scores(row):
    recipe = BY_ROW[f"Table 1, row {row}"]
    task, uar, war, filters = TABLE_1[row]
    assert [entry.name for entry in resolve_tasks(recipe.model["tasks"])] == [task]
    assert recipe.reported_scores == {"validation": {f"{task}_uar": uar, f"{task}_war": war}}
    steps = recipe.data.get("preprocess", [])
    assert [step if isinstance(step, str) else next(iter(step)) for step in steps] == filters
    assert recipe.data["held_out"] == 0.1


@pytest.mark.parametrize("row", HYBRIDS)
def test_a_hybrid_takes_each_task_from_the_system_that_the_paper_names(row):
    recipe, (systems, (split, scores)) = BY_ROW[row], HYBRIDS[row]
    taken = {task: list(runs) for task, runs in recipe.plan.tasks.items()}
    expected = zip(("emotion", "age", "country"), systems, strict=True)
    assert taken == {task: [f"frozen_embeddings/{system}"] for task, system in expected}
    assert recipe.reported_scores == {split: printed(scores)}


def test_no_recipe_stands_for_a_row_that_the_paper_does_not_have():
    rows = {f"Table 2, row {row}, {config}" for row in TABLE_2 for config in ("Sys-1", "Sys-2")}
    rows |= {f"Table 1, row {row}" for row in TABLE_1}
    rows |= set(HYBRIDS)
    rows |= {f"section 2.2, {network}" for network in ("Raw(SER)", "Zff(SER)", "Raw(ASR)")}
    assert set(BY_ROW) == rows


def test_an_embedding_is_of_a_network_that_a_recipe_here_trains():
    runs = {name.split("embedding:./runs/")[1] for sets, *_ in TABLE_2.values() for name in sets if ":./runs/" in name}
    for name in runs:
        run = parse_run([str(FOLDER / f"{name}.yaml")])
        assert run.training.output_dir == f"runs/{name}"
        assert run.model.encoder["hidden_size"] == (1024 if name == "phone_network" else 10)


def test_a_network_that_is_not_trained_yet_is_refused_with_the_commands_that_train_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").mkdir()
    recipe = "frozen_embeddings/sys1_early_fusion_raw_and_zff"
    assert main([recipe, "--data_dir", str(tmp_path / "corpus")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    trained = [f"to train it: burst2vec train frozen_embeddings/{name}_emotion_class" for name in ("raw", "zff")]
    assert all(command in line for command in trained) and "embedding:FOLDER/zff_emotion_class" in line


def test_the_learners_loss_is_the_mean_of_the_three_with_ages_in_years():
    recipe = load_recipe(FOLDER / "sys1_wavlm_large.yaml")
    keys = {key: value for key, value in recipe.model.items() if key not in ("encoder", "features")}
    torch.manual_seed(0)
    model = Burst2VecForMultiTask(Burst2VecConfig({"kind": "vector", "features": 3}, **keys)).eval()
    clips, labels = torch.randn(5, 3), exvo_labels(5)
    values = clips.numpy().astype(np.float64)
    weights = {name: weight.detach().numpy().astype(np.float64) for name, weight in model.named_parameters()}
    layers = sorted({name.rpartition(".")[0] for name in weights if name.startswith("trunk.")})
    assert [weights[f"{layer}.weight"].shape for layer in layers] == [(128, 3), (64, 128)]
    for layer in layers:
        values = values @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"]
        values = np.where(values > 0, values, 0.01 * values)
    outputs = {
        task: values @ weights[f"heads.{task}.output.weight"].T + weights[f"heads.{task}.output.bias"]
        for task in ("emotion", "age", "country")
    }
    emotion = np.mean((outputs["emotion"] - labels["emotion"].numpy()) ** 2)
    age = np.mean((outputs["age"] - labels["age"].numpy()) ** 2)
    true = outputs["country"][np.arange(5), labels["country"].numpy()]
    country = np.mean(np.log(np.exp(outputs["country"]).sum(axis=1)) - true)
    said = model(clips, labels=labels)
    assert said.loss.item() == pytest.approx((emotion + age + country) / 3, rel=1e-5)
    np.testing.assert_allclose(said.predictions["age"].detach().numpy(), outputs["age"], atol=1e-5)
