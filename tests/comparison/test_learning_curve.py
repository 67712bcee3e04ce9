"""A learning curve trains one recipe on nested sets of speakers, and draws what each run says of itself."""

from pathlib import Path

import matplotlib.image
import pytest

from burst2vec.comparison.learning_curve import common_scores, curves_of, stages_of, train_curve, write_curves
from burst2vec.comparison.report import find_runs
from burst2vec.errors import RunError
from burst2vec.experiment.run_record import RunRecord


class Learner:
    """Stands for training: the better, the more speakers; it keeps what it was asked for."""

    def __init__(self):
        self.asked = []

    def __call__(self, run):
        speakers, seed = run.data.train_speakers or 297, run.training.seed
        self.asked.append((run.data.train_speakers, seed))
        scores = {"validation": {"category_uar": 0.1 + speakers / 1000 + seed / 100, "category_uar/Awe": 0.0}}
        folder = Path(run.training.output_dir)
        folder.mkdir(parents=True)
        known = {"corpora": ["emogator"], "clips": {}, "baseline": {"validation": {"category_uar": 1 / 30}}}
        record = RunRecord(recipe=run.recipe.to_dict(), seed=seed, scores=scores, speakers={"train": speakers}, **known)
        record.write(folder)
        return record


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "learner.yaml"
    path.write_text("description: a learner\ntraining: {bf16: false}\nmodel: {tasks: emogator}", encoding="utf-8")
    return path


def test_every_number_of_speakers_is_trained_with_every_seed_and_what_is_finished_is_read(recipe, tmp_path):
    learner = Learner()
    for _ in range(2):
        folders = train_curve(stages_of(recipe, ["40", "all"]), [1, 2], tmp_path / "runs", run=learner)
    assert learner.asked == [(40, 1), (40, 2), (None, 1), (None, 2)]
    assert folders[-1] == tmp_path / "runs" / "speakers-all" / "seed-2"
    (curve,) = curves_of(find_runs(folders)[0])
    assert curve.name == "a learner"
    assert curve.scores == {
        "category_uar": {40: pytest.approx([0.15, 0.16]), 297: pytest.approx([0.407, 0.417])},
    }
    text = write_curves([curve], common_scores([curve], ["category_uar", "emotion_ccc"]), tmp_path / "out")
    assert "0.155 ± 0.007" in text and "0.033" in text.splitlines()[-1]
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".md", ".csv", ".png"}
    assert matplotlib.image.imread(tmp_path / "out" / "learning_curve.png").std() > 0


@pytest.mark.parametrize(
    ("speakers", "message"),
    [
        (["0"], "--speakers 0: give numbers of 1 or more, or all"),
        (["1e2"], "--speakers 1e2: give numbers"),
        (["40", "40"], "--speakers 40 is given twice"),
    ],
)
def test_numbers_of_speakers_that_are_none_are_refused(recipe, speakers, message):
    with pytest.raises(RunError, match=message):
        stages_of(recipe, speakers)


def test_a_run_that_does_not_say_its_speakers_is_refused_by_name(tmp_path):
    RunRecord(corpora=[], recipe={}, seed=1, clips={}, scores={"validation": {"category_uar": 0.2}}, baseline={}).write(
        tmp_path
    )
    with pytest.raises(RunError, match=f"{tmp_path.name}: its record does not say how many speakers"):
        curves_of(find_runs([tmp_path])[0])
