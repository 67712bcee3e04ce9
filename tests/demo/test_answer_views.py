"""What the demo shows, as plain functions: bars, intervals in words, tables and pictures, whatever the tasks."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from burst2vec.demo.answer_views import SHOWN, answer_html, answers_html, bursts_table, picture_html
from burst2vec.demo.recording_analysis import Analysis
from burst2vec.tasks import AGE, Task

MOOD = Task("mood", kind="regression", labels=("Valence", "Arousal"), span=(-1.0, 1.0))
KIND = Task("kind", kind="classification", labels=("Laugh", "<b>Cry</b>", "Gasp"))
TASKS = (MOOD, AGE, KIND)
ANSWER = {
    "mood": {"Valence": -0.5, "Arousal": 0.5},
    "age": 30.0,
    "kind": {"label": "<b>Cry</b>", "probabilities": {"Laugh": 0.3, "<b>Cry</b>": 0.6, "Gasp": 0.1}},
}
CONFORMAL = {
    "mood": {"Valence": [-1.0, 0.0], "Arousal": [0.25, 0.75]},
    "age": [22.5, 37.5],
    "kind": ["<b>Cry</b>", "Laugh"],
}


def widths(html, what):
    return [float(width) for width in re.findall(rf'class="b2v-{what}" style="[^"]*width:([\d.]+)%', html)]


def text_of(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_bars_are_fractions_of_the_span_and_the_greatest_comes_first():
    html = answer_html(TASKS, ANSWER)
    assert widths(html, "bar") == [75, 25, 50, 60, 30, 10]
    shown = text_of(html)
    assert "mood, -1 to 1 Arousal 0.50 Valence -0.50" in shown
    assert "age, 15 to 45 years age 30.0 years" in shown
    assert "Laugh 0.30 Gasp 0.10" in shown


def test_names_are_shown_letter_for_letter_and_never_as_markup():
    html = answer_html(TASKS, ANSWER) + answers_html(
        TASKS, Analysis(np.ones(16_000, "f"), True, [{"start": 0.1, "end": 0.9, "confidence": 0.8, **ANSWER}])
    )
    assert "<b>" not in html and html.count("kind: &lt;b&gt;Cry&lt;/b&gt;") == 2


def test_a_calibrated_task_has_its_interval_or_set_and_another_is_said_to_have_none():
    assert widths(answer_html(TASKS, ANSWER), "interval") == []
    assert text_of(answer_html(TASKS, ANSWER)).count("the model was not calibrated for") == 3
    html = answer_html(TASKS, {**ANSWER, "conformal": CONFORMAL})
    assert widths(html, "interval") == [25, 50, 50]
    shown = text_of(html)
    assert "Arousal 0.50 (0.25 to 0.75)" in shown and "age 30.0 years (22.5 to 37.5)" in shown
    assert "for about 90 of 100 clips of new speakers" in shown.lower() and "not calibrated" not in shown
    assert text_of(html).endswith("the class is in a set made like this one: &lt;b&gt;Cry&lt;/b&gt;, Laugh.")
    some = answer_html(TASKS, {**ANSWER, "conformal": {"age": CONFORMAL["age"]}})
    assert widths(some, "interval") == [50] and text_of(some).count("the model was not calibrated for") == 2


def test_what_lies_outside_the_span_does_not_leave_its_track():
    linear = Task("age", kind="regression", labels=("age",), unit="years", span=(20.0, 40.0), output="linear")
    assert widths(answer_html((linear,), {"age": 47.0}), "bar") == [100]
    assert widths(answer_html((linear,), {"age": 12.0}), "bar") == [0]


def test_many_labels_are_folded_but_there():
    labels = tuple(f"L{number:02d}" for number in range(40))
    html = answer_html((Task("many", kind="regression", labels=labels),), {"many": dict.fromkeys(labels, 0.5)})
    assert f"<summary>{40 - SHOWN} more</summary>" in html and len(widths(html, "bar")) == 40


def test_a_row_of_the_table_says_where_a_burst_is_and_what_or_why_not():
    bursts = [
        {"start": 1.0, "end": 2.5, "confidence": 0.875, **ANSWER, "conformal": CONFORMAL},
        {"start": 3.0, "end": 3.2, "confidence": 0.5, **ANSWER, "error": "under 25 ms"},
    ]
    table = bursts_table(TASKS, bursts)
    assert list(table.columns) == ["start (s)", "end (s)", "confidence", "mood", "age", "kind", "problem"]
    assert table.iloc[0].tolist() == [
        1.0,
        2.5,
        0.88,
        "Arousal 0.50, Valence -0.50",
        "30.0 years (22.5 to 37.5)",
        "<b>Cry</b> 0.60; 90 %: <b>Cry</b>, Laugh",
        "",
    ]
    assert table.iloc[1].tolist()[3:] == ["", "", "", "under 25 ms"]
    assert "problem" not in bursts_table(TASKS, bursts[:1])
    four = {**CONFORMAL, "kind": ["A", "B", "C", "D"]}
    assert bursts_table(TASKS, [{**bursts[0], "conformal": four}])["kind"][0].endswith("; 90 %: 4 classes")
    html = answers_html(TASKS, Analysis(np.ones(64_000, "f"), True, bursts))
    assert "2 bursts stand out of the background in 4.0 s." in html and "1.00 to 2.50 s</summary>" in html


@pytest.mark.parametrize("bursts", [[], [{"start": 1.0, "end": 2.0, "confidence": 0.9, **ANSWER}]])
def test_the_picture_is_in_the_page_itself_and_tells_who_cannot_see_it(bursts):
    waveform = np.random.default_rng(0).normal(size=48_000).astype(np.float32)
    html = picture_html(TASKS, Analysis(waveform, bool(bursts), bursts or [ANSWER]))
    about, content = re.fullmatch(
        r'<img class="b2v-picture" alt="(.*)" src="data:image/png;base64,(.*)">', html
    ).groups()
    assert about == "waveform and spectrogram of 3.0 s" + (", 1 bursts" if bursts else "")
    assert Image.open(io.BytesIO(base64.b64decode(content))).size[0] == 14 * 90


def test_a_recording_without_bursts_says_what_to_do():
    html = answers_html(TASKS, Analysis(np.ones(96_000, "f"), True, []))
    assert "No burst stands out of the background in 6.0 s; take the recording as one burst." in html
