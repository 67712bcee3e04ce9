"""A corpus's settings are keys of a recipe: made from its record, and refused for another corpus."""

from dataclasses import fields, replace
from typing import Literal

import pytest

from burst2vec.data.corpora import CORPORA
from burst2vec.data.corpora.record import setting, settings
from burst2vec.errors import RunError
from burst2vec.experiment import corpus_keys
from burst2vec.experiment.corpus_keys import keys_of, settings_of
from burst2vec.experiment.sections import CorpusArguments


def test_every_setting_but_those_of_the_run_is_a_key_of_the_section():
    keys = {entry.name for entry in fields(CorpusArguments)}
    asked = {name for corpus in CORPORA.values() for name in keys_of(corpus)}
    assert keys == asked | {"corpus", "data_dir"}
    assert not {"tasks", "for_prediction", "seed"} & keys


def test_a_key_comes_to_load_bursts_under_the_settings_own_name():
    made = CorpusArguments(corpus="synthetic", synthetic_clips=36, synthetic_seed=0)
    assert settings_of(made, tasks="exvo", for_prediction=True) == {"clips": 36, "seed": 0}
    mine = CorpusArguments(corpus="folder", table="t.csv", allow_shared_speakers=True)
    assert settings_of(mine, tasks="exvo") == {"table": "t.csv", "allow_shared_speakers": True, "tasks": "exvo"}


def test_a_key_of_another_corpus_is_refused_with_those_of_this_one():
    with pytest.raises(RunError, match="^splits: a key of emogator and folder, not of synthetic, which takes"):
        settings_of(CorpusArguments(splits={"train": 1}))
    with pytest.raises(
        RunError,
        match="^audio, labels: a key of hume_vb, not of emogator, which takes splits, more_dirs, without_categories; ",
    ):
        settings_of(CorpusArguments(corpus="emogator", audio="raw", labels="all"))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("synthetic_clips", 0, "synthetic_clips must be in 1..1000000, or null, got 0"),
        ("table", " ", "table is empty; fill it in"),
        ("columns", "who", "columns must be a mapping such as {file: filename, speaker: who}, got 'who'"),
    ],
)
def test_what_a_record_says_of_a_setting_holds_for_its_key(key, value, message):
    with pytest.raises(ValueError, match=message):
        CorpusArguments(**{key: value})


def test_one_key_of_two_types_is_refused(monkeypatch):
    @settings
    class Others:
        """Of another corpus."""

        audio: Literal["far", "near"] = setting("far", "Which microphone.")

    monkeypatch.setitem(CORPORA, "other", replace(CORPORA["hume_vb"], name="other", settings=Others))
    taken = {**corpus_keys.TAKEN_BY["audio"], "other": fields(Others)[0]}
    monkeypatch.setitem(corpus_keys.TAKEN_BY, "audio", taken)
    with pytest.raises(TypeError, match="audio: hume_vb and other take .*another key"):
        corpus_keys.recipe_fields()
