"""The card says what the run's record says, in the form the Hub reads."""

import ast
import dataclasses
import re

import pytest
import yaml
from huggingface_hub import ModelCard, ModelCardData
from huggingface_hub.utils import validate_repo_id
from markdown_it import MarkdownIt

from burst2vec.experiment.model_card import model_card, pictures_of
from burst2vec.experiment.run_record import RunRecord
from burst2vec.tasks import TASK_PRESETS, Task

SCORES = {"emotion_ccc": 0.645, "emotion_ccc/Awe": 0.7, "age_mae": 3.709, "country_uar": 0.676, "s_mtl": 0.445}
SCORES |= {"country_war": 0.72, "emotion_pearson": 0.66, "emotion_pearson/Awe": 0.71}
RECORD = {
    "corpora": ["synthetic"],
    "preprocess": [],
    "recipe": {"description": "A test", "data": {}, "model": {"encoder": "facebook/hubert-base-ls960"}, "training": {}},
    "seed": 7,
    "steps": 12,
    "clips": {"train": {"used": 100, "skipped": 1}, "validation": {"used": 30, "skipped": 0}},
    "scores": {"validation": SCORES},
    "baseline": {"validation": {"emotion_ccc": 0.0, "age_mae": 4.02, "country_uar": 0.25, "s_mtl": 0.0}},
    "versions": {"burst2vec": "0.1.0"},
}


def saved_card(tmp_path, record=RECORD, tasks="exvo"):
    model_card("quickstart", RunRecord(**record), TASK_PRESETS[tasks]).save(tmp_path / "README.md")
    return ModelCard.load(tmp_path / "README.md")


def test_the_model_index_equals_the_record(tmp_path):
    results = saved_card(tmp_path).data.eval_results
    found = {result.metric_type: result.metric_value for result in results}
    assert found == {"ccc": 0.645, "pearson": 0.66, "mae": 3.709, "uar": 0.676, "war": 0.72, "s_mtl": 0.445}
    assert {(result.dataset_name, result.dataset_split) for result in results} == {("synthetic", "validation")}


def test_the_metadata_is_what_the_hub_reads(tmp_path):
    data = saved_card(tmp_path).data
    again = ModelCardData(**data.to_dict(), ignore_metadata_errors=False)
    assert again.to_dict() == data.to_dict()
    assert (data.language, data.datasets, data.library_name) == ("zxx", ["synthetic"], "transformers")
    validate_repo_id(data.base_model[0])


def test_the_checkpoints_that_compute_the_vectors_are_base_models_and_local_folders_are_not(tmp_path):
    features = ["embedding:facebook/hubert-base-ls960", "embedding:quickstart", "compare", "embedding:/a/b"]
    recipe = {**RECORD["recipe"], "model": {"encoder": {"kind": "vector"}}}
    card = saved_card(tmp_path, {**RECORD, "recipe": recipe, "features": features})
    assert card.data.base_model == ["facebook/hubert-base-ls960"]
    assert saved_card(tmp_path, {**RECORD, "recipe": recipe}).data.base_model is None


UNDECIDED = {"load_best_model_at_end": False, "early_stopping_patience": None}


@pytest.mark.parametrize(
    "training, held_out, said",
    [
        ({}, None, "decided by the validation clips: scores on them are optimistic"),
        ({**UNDECIDED, "lr_scheduler_type": "reduce_lr_on_plateau"}, None, "decided by the validation clips"),
        (
            {},
            9,
            "decided by the 9 clips of training speakers that were held out; the validation clips were only scored",
        ),
        (UNDECIDED, None, None),
        ({"eval_strategy": "no"}, None, None),
    ],
)
def test_the_card_says_which_clips_decided_over_the_training(tmp_path, training, held_out, said):
    clips = {**RECORD["clips"], **({"held_out": {"used": held_out, "skipped": 0}} if held_out else {})}
    record = {**RECORD, "clips": clips, "recipe": {**RECORD["recipe"], "training": training}}
    text = saved_card(tmp_path, record).text
    assert said in text if said else "decided" not in text


SCRATCH = {"encoder": {"model_type": "hubert"}}


@pytest.mark.parametrize(
    "corpora, model, licence",
    [
        (["emogator"], SCRATCH, "apache-2.0"),
        (["emogator"], RECORD["recipe"]["model"], None),  # the checkpoint's own licence is not known here
        (["hume_vb"], RECORD["recipe"]["model"], "other"),
        (["emogator", "hume_vb"], SCRATCH, "other"),
        (["folder"], SCRATCH, "other"),
    ],
)
def test_the_licence_follows_from_what_the_model_learnt_from_or_is_left_out(tmp_path, corpora, model, licence):
    record = {**RECORD, "corpora": corpora, "recipe": {**RECORD["recipe"], "model": model}}
    data = saved_card(tmp_path, record).data
    assert (data.license, data.datasets) == (licence, corpora)


PAIN = Task("pain", kind="regression", labels=("pain",), unit="points", span=(0, 10), loss="mae", metric="mae")


def test_the_card_speaks_of_its_own_tasks_and_of_no_others(tmp_path):
    record = {**RECORD, "scores": {"validation": {"pain_mae": 1.5}}, "baseline": {"validation": {"pain_mae": 2.5}}}
    text = str(model_card("quickstart", RunRecord(**record), (PAIN,)))
    assert "it predicts pain (one value from 0 to 10 points)" in text and "predicts pain as" in text
    linear = str(model_card("quickstart", RunRecord(**record), (dataclasses.replace(PAIN, output="linear"),)))
    assert "it predicts pain (one value from 0 to 10 points, or beyond)" in linear
    prose = text.split("## Citation")[0].lower()
    assert not {"emotion", "age", "country"} & set(re.findall(r"\w+", prose))


def test_clips_without_any_label_are_not_counted_as_scored(tmp_path):
    clips = {**RECORD["clips"], "validation": {"used": 40, "skipped": 0, "scored": 34}}
    assert "Clips scored: 34\n" in saved_card(tmp_path, {**RECORD, "clips": clips}).text
    assert "Clips scored: 30\n" in saved_card(tmp_path).text


def test_the_pictures_of_the_run_are_shown(tmp_path):
    (tmp_path / "plots").mkdir()
    for name in ("losses", "validation_age_scatter"):
        (tmp_path / "plots" / f"{name}.png").touch()
    card = model_card("quickstart", RunRecord(**RECORD), TASK_PRESETS["exvo"], pictures_of(tmp_path))
    shown = [
        child for token in MarkdownIt().parse(card.text) for child in token.children or () if child.type == "image"
    ]
    assert [image.attrs["src"] for image in shown] == ["plots/losses.png", "plots/validation_age_scatter.png"]
    assert [image.content for image in shown] == ["losses", "validation age scatter"]


def test_the_constant_baseline_stands_beside_the_score(tmp_path):
    lines = [line for line in saved_card(tmp_path).text.splitlines() if line.startswith("| age_mae")]
    assert len(lines) == 1 and "3.709" in lines[0] and "4.020" in lines[0]


def test_the_card_says_that_a_synthetic_corpus_says_nothing_about_people(tmp_path):
    assert "say nothing about people" in saved_card(tmp_path).text


def test_the_card_names_its_encoder_and_its_recipe(tmp_path):
    card = saved_card(tmp_path)
    assert card.data.base_model == ["facebook/hubert-base-ls960"]
    recipe = card.text.split("```yaml\n")[1].split("```")[0]
    assert yaml.safe_load(recipe) == RECORD["recipe"]


def blocks_of(card, language):
    return [
        token.content for token in MarkdownIt().parse(card.text) if token.type == "fence" and token.info == language
    ]


def test_the_code_on_the_card_is_code(tmp_path):
    for block in blocks_of(saved_card(tmp_path), "python"):
        compile(block, "card", "exec")


HOSTILE = [
    'x"); import os; os.system("touch broken',
    "x'); import os; os.system('touch broken",
    "x\\",
    "x\n---\nlicense: mine\n---\n# x",
    "```\n\n# x",
    "<script>alert(1)</script>|`{name}`",
    "{metadata} {0} %s",
    "null",
    "café 笑 \udcff",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_never_code_nor_metadata_nor_markup(tmp_path, name):
    """The card of a hostile name differs from a harmless one's in that name alone, in each of its languages."""
    record = {**RECORD, "recipe": {**RECORD["recipe"], "description": name, "paper": name}, "versions": {name: name}}
    model_card(name, RunRecord(**record), TASK_PRESETS["exvo"]).save(tmp_path / "README.md")
    card, harmless = ModelCard.load(tmp_path / "README.md"), saved_card(tmp_path)
    assert card.data.model_name == name
    assert {**card.data.to_dict(), "model-index": 0} == {**harmless.data.to_dict(), "model-index": 0}
    found, expected = (blocks_of(each, "python") for each in (card, harmless))
    assert len(found) == len(expected) == 2
    for block, plain in zip(found, expected, strict=True):
        tree = ast.parse(block)
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and node.value == name:
                node.value = "quickstart"
        assert ast.dump(tree) == ast.dump(ast.parse(plain))
    (recipe,) = blocks_of(card, "yaml")
    assert yaml.safe_load(recipe) == record["recipe"]
    tokens, plain = (MarkdownIt("commonmark").enable("table").parse(each.text) for each in (card, harmless))
    assert [token.type for token in tokens] == [token.type for token in plain]
    assert not any(child.type.startswith("html") for token in tokens for child in token.children or [])


def test_labels_of_any_letters_fill_one_cell_each(tmp_path):
    labels = ["a|b", "`c`", "<b>d</b>", "e\nf", "{}", "$g$", "h\\"]
    task = Task("feeling", kind="regression", labels=labels, unit="<i>points</i>")
    scores = {"validation": {"feeling_ccc": 0.5, **{f"feeling_ccc/{label}": 0.25 for label in labels}}}
    record = {**RECORD, "scores": scores, "baseline": {"validation": {}}}
    model_card("quickstart", RunRecord(**record), (task,)).save(tmp_path / "README.md")
    tokens = MarkdownIt("commonmark").enable("table").parse(ModelCard.load(tmp_path / "README.md").text)
    cells = [token.content for before, token in zip(tokens, tokens[1:], strict=False) if before.type == "td_open"]
    assert len(cells) == 5 * (1 + len(labels)) + 3 * len(RECORD["clips"])
    assert not any(child.type.startswith("html") for token in tokens for child in token.children or [])


def test_an_undefined_score_is_not_in_the_index(tmp_path):
    record = {**RECORD, "scores": {"validation": {"category_uar": 0.1}}, "baseline": {"validation": {}}}
    results = saved_card(tmp_path, record, "emogator").data.eval_results
    assert [result.metric_value for result in results] == [0.1]


def test_a_model_that_was_not_measured_has_a_card_without_an_index(tmp_path):
    card = saved_card(tmp_path, {**RECORD, "scores": {}, "baseline": {}})
    assert card.data.eval_results is None and "Not measured yet" in card.text
