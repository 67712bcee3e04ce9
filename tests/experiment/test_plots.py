"""The pictures exist, are pictures, and count what they should."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from transformers import TrainerState

from burst2vec.comparison import pictures
from burst2vec.comparison.fusing import Fusion
from burst2vec.comparison.pictures import plot_fusion, plot_report
from burst2vec.comparison.report import Row
from burst2vec.comparison.study import Study
from burst2vec.drawing import picture_bytes
from burst2vec.experiment import plots
from burst2vec.experiment.plots import (
    confusion,
    plot_confusion,
    plot_label_scores,
    plot_losses,
    plot_predictions,
    plot_scatter,
    plot_study,
)
from burst2vec.tasks import TASK_PRESETS, Task
from burst2vec.training.progress import OneLineProgress

PNG = b"\x89PNG\r\n\x1a\n"
EMOTION, AGE, COUNTRY = TASK_PRESETS["exvo"]


def is_picture(path):
    return path.read_bytes()[:8] == PNG and path.stat().st_size > 2000


def test_exvo_gets_bars_a_scatter_and_a_confusion(tmp_path):
    rng = np.random.default_rng(0)
    truth = {"emotion": rng.random((30, 10)), "age": rng.uniform(20, 39, (30, 1)), "country": rng.integers(-1, 4, 30)}
    guess = {"emotion": truth["emotion"], "age": truth["age"] + 1, "country": rng.random((30, 4))}
    scores = {"emotion_ccc": 0.3, "emotion_ccc/Awe": -0.2, "emotion_ccc/Fear": 0.8}
    drawn = plot_predictions(TASK_PRESETS["exvo"], scores, guess, truth, tmp_path / "plots", "test")
    assert [path.name for path in drawn] == [
        "test_emotion_ccc.png",
        "test_age_scatter.png",
        "test_country_confusion.png",
    ]
    assert all(is_picture(path) for path in drawn)


def test_each_part_of_the_loss_is_drawn(tmp_path):
    history = [{"step": step, "loss": 3.0 / step, "emotion_shared": 1.0 / step, "adversary": 1.0} for step in (1, 2, 3)]
    assert is_picture(plot_losses([*history, {"step": 3, "eval_loss": 1.0}], tmp_path / "losses.png"))


def drawn_by(monkeypatch, module):
    """The figures that a module's functions draw, instead of files."""
    figures = []
    monkeypatch.setattr(module, "save_figure", lambda figure, path: figures.append(figure))
    return figures


def test_what_was_evaluated_in_training_has_panels_of_its_own_beside_the_losses(monkeypatch):
    figures = drawn_by(monkeypatch, plots)
    history = [{"step": step, "loss": 3.0 / step, "country_combined": 1.0} for step in (1, 2, 3, 4)]
    scores = {"eval_loss": 2.0, "eval_country_uar": 0.4, "eval_country_war": 0.5, "eval_runtime": 1.0}
    history[2:2] = [{"step": 2, **scores}]
    plot_losses([*history, {"step": 4, **scores, "eval_loss": 1.0}], "losses.png", (COUNTRY,), "held out")
    panels = {
        axis.get_title(): [line.get_xydata().tolist() for line in axis.lines]
        for axis in figures[0].axes
        if axis.get_visible()
    }
    assert list(panels) == [
        "Training: total loss (Eq. 8)",
        "Training: country (Eq. 5)",
        "Held out: loss",
        "Held out: country_uar, more is better",
    ]
    assert panels["Held out: loss"] == [[[2.0, 2.0], [4.0, 1.0]]]
    assert panels["Held out: country_uar, more is better"] == [[[2.0, 0.4], [4.0, 0.4]]]


def test_a_short_run_is_logged_often_enough_for_a_curve():
    state = TrainerState(max_steps=60, logging_steps=50, is_world_process_zero=False)
    OneLineProgress([AGE]).on_train_begin(None, state, None)
    assert state.logging_steps == 3
    state = TrainerState(max_steps=6000, logging_steps=50, is_world_process_zero=False)
    OneLineProgress([AGE]).on_train_begin(None, state, None)
    assert state.logging_steps == 50


def within(axis, tick):
    low, high = axis.get_xlim()
    return low <= tick.get_loc() <= high


def test_no_text_of_a_reports_picture_touches_another(monkeypatch):
    figures = drawn_by(monkeypatch, pictures)
    name = "ComParE, log-mel and receptive-field statistics, normalised per speaker, and a small network on EmoGator"
    scores = {
        "emotion_ccc": [0.3, 0.31],
        "category_uar": [0.2, 0.21],
        "age_mae": [3.7],
        "country_uar": [0.6],
        "s_mtl": [0.4],
    }
    plot_report([Row("A", f"{name} {n}", ("emogator",), 1800, {}, scores) for n in range(4)], "report_test.png")
    figure = figures[0]
    FigureCanvasAgg(figure).draw()
    beyond = {  # ticks that matplotlib keeps beside the visible range, and does not draw
        tick.label1 for axis in figure.axes for tick in axis.xaxis.get_major_ticks() if not within(axis, tick)
    }
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible() and text not in beyond]
    boxes = [(text.get_text(), text.get_window_extent().padded(2)) for text in texts]
    assert len(boxes) > 20
    assert not [(one, other) for (one, a), (other, b) in itertools.combinations(boxes, 2) if a.overlaps(b)]


def test_without_a_logged_loss_nothing_is_drawn(tmp_path):
    assert plot_losses([{"step": 3, "eval_loss": 1.0}], tmp_path / "losses.png") is None
    assert not (tmp_path / "losses.png").exists()


def test_a_confusion_counts_clips_by_true_row_and_predicted_column():
    guess = np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5], [0.6, 0.2, 0.2], [0.0, 1.0, 0.0]])
    assert confusion(guess, np.array([0, 0, 2, -1]), 3).tolist() == [[1, 0, 1], [0, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize("references", [np.full((4, 1), np.nan), np.array([[20.0], [np.nan], [30.0], [39.5]])])
def test_missing_labels_are_left_out_of_a_scatter(tmp_path, references):
    assert is_picture(plot_scatter(AGE, np.full((4, 1), 27.0), references, tmp_path / "age.png"))


def test_a_class_that_never_occurs_does_not_stop_a_confusion(tmp_path):
    assert is_picture(plot_confusion(COUNTRY, np.eye(4), np.array([0, 0, 1, -1]), tmp_path / "country.png"))


def test_an_undefined_score_does_not_stop_the_bars(tmp_path):
    assert is_picture(plot_label_scores(EMOTION, {}, tmp_path / "emotion.png"))


def test_thirty_classes_and_errors_in_a_unit_can_be_drawn(tmp_path):
    category = TASK_PRESETS["emogator"][1]
    assert is_picture(plot_confusion(category, np.eye(30), np.arange(30), tmp_path / "category.png"))
    formants = Task("formants", "regression", ("f1", "f2"), unit="Hz", span=(0, 4000), loss="mae", metric="mae")
    scores = {"formants_mae": 80.0, "formants_mae/f1": 60.0, "formants_mae/f2": 100.0}
    assert is_picture(plot_label_scores(formants, scores, tmp_path / "formants.png"))


# matplotlib takes what stands between two $ for a formula: it draws another text than the name's, or fails.
ODD = (r"$\badmacro{$", "$x$", "5 $ or $ 6", "\\", "100 % {}_^&#~")


def test_names_with_signs_of_formulas_end_no_picture(tmp_path):
    rng = np.random.default_rng(0)
    moods = Task("mood", "regression", ODD, unit=ODD[0], loss="mae", metric="mae")
    dose = Task("dose", "regression", ("dose",), unit=ODD[0], loss="mae", metric="mae")
    call = Task("call", "classification", ODD, loss="cross_entropy", metric="uar")
    truth = {"mood": rng.random((9, 5)), "dose": rng.random((9, 1)), "call": np.arange(9) % 5}
    drawn = plot_predictions((moods, dose, call), {}, {**truth, "call": rng.random((9, 5))}, truth, tmp_path, "test")
    study = Study((1,), {"mood_mae": {name: [0.1] for name in ODD}})
    scores = {"test": {name: {"mood_mae": 0.5} for name in (*ODD, "fused")}}
    fusion = Fusion("mean", ODD, (moods,), {"mood": [0.2] * 5}, {}, scores, None, 0)
    row = Row("A paper", ODD[0], ODD, 9, {}, {"mood_mae": [0.5]})
    drawn += [
        plot_study(study, tmp_path / "study.png"),
        plot_fusion(fusion, tmp_path / "fusion.png"),
        plot_report([row], tmp_path / "report.png"),
    ]
    assert len(drawn) == 6 and all(map(is_picture, drawn))


def test_a_text_with_signs_of_formulas_is_drawn_letter_for_letter():
    def drawn(text):
        figure = Figure(figsize=(2, 1))
        figure.text(0.1, 0.5, text, parse_math=False)
        return picture_bytes(figure)

    def as_we_draw(text):
        figure = Figure(figsize=(2, 1))
        figure.text(0.1, 0.5, text)
        return picture_bytes(figure)

    assert as_we_draw("$a$") == drawn("$a$") != drawn("a")
