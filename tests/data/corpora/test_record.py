"""What a corpus's record says: to the caller, to command lines, and as its published card says it."""

import argparse
from pathlib import Path

import pytest
import yaml

from burst2vec.data import corpora
from burst2vec.data.corpora import CORPORA
from burst2vec.data.corpora.options import add_options, options_given
from burst2vec.errors import CorpusError

CARDS = Path(__file__).parents[3] / "dataset_scripts"


def test_every_file_that_ends_in_a_record_is_a_corpus_of_its_name():
    files = {path.stem for path in Path(corpora.__file__).parent.glob("*.py") if "\nCORPUS = " in path.read_text()}
    assert files == set(CORPORA) == {corpus.name for corpus in CORPORA.values()}


@pytest.mark.parametrize("name", sorted(card.parent.name for card in CARDS.glob("*/README.md")))
def test_the_record_and_the_published_card_name_one_licence(name):
    metadata = (CARDS / name / "README.md").read_text(encoding="utf-8").split("---")[1]
    assert yaml.safe_load(metadata)["license"] == CORPORA[name].licence


def test_a_command_line_gives_the_settings_that_one_word_says():
    parser = argparse.ArgumentParser()
    add_options(parser, CORPORA["synthetic"])
    asked = parser.parse_args(["--clips", "36", "--seed", "0"])
    assert options_given(asked, CORPORA["synthetic"]) == {"clips": 36, "seed": 0}
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_options(parser, CORPORA["hume_vb"], but=["allow_shared_speakers"])
    assert options_given(parser.parse_args(["--labels", "avb"]), CORPORA["hume_vb"]) == {
        "audio": "processed",
        "labels": "avb",
    }
    with pytest.raises(argparse.ArgumentError, match="invalid choice: 'few'"):
        parser.parse_args(["--labels", "few"])
    assert "--allow_shared_speakers" not in parser.format_help()


def test_what_a_run_gives_and_what_no_word_says_is_no_option():
    parser = argparse.ArgumentParser()
    add_options(parser, CORPORA["folder"])
    assert set(vars(parser.parse_args([]))) == {"allow_shared_speakers"}


def test_none_and_false_are_not_given_and_zero_is():
    assert CORPORA["synthetic"].asked({"seed": 0, "clips": None, "labels": None}).seed == 0
    with pytest.raises(CorpusError, match="labels: no setting of synthetic"):
        CORPORA["synthetic"].asked({"labels": 0})
