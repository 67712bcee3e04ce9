"""Answers as a person reads them: bars with their intervals, a table of bursts, a picture. Plain functions.

Names of tasks, labels and files are the user's: in HTML they are escaped.
"""

import base64
from collections.abc import Sequence
from html import escape

import pandas as pd

from ..drawing import picture_bytes
from ..prediction.region_pictures import burst_figure
from ..tasks import Task
from .recording_analysis import COVERAGE, Analysis

SHOWN = 12  # rows of a task; the others are folded
UNFOLDED = 50  # bursts with bars of their own under the table
NAMED = 3  # labels of a task in a row of the table
PIXELS_PER_INCH = 90  # the picture is 14 inches wide
STYLE = """
.b2v-task {margin: 0 0 1.4em}
.b2v-task h3 {margin: 0 0 .35em; font-size: 1.1em}
.b2v-row {display: grid; grid-template-columns: minmax(7em, 11em) 1fr minmax(9em, 13em); gap: .8em;
  align-items: center; margin: .18em 0}
.b2v-name {text-align: right; overflow-wrap: anywhere}
.b2v-track {position: relative; height: 1.05em; border-radius: 3px; background: var(--background-fill-secondary);
  border: 1px solid var(--border-color-primary)}
.b2v-bar {position: absolute; inset: 0 auto 0 0; background: #0072B2; opacity: .8; border-radius: 2px}
.b2v-interval {position: absolute; top: 50%; height: 3px; margin-top: -1.5px; background: #D55E00; min-width: 2px}
.b2v-number {font-variant-numeric: tabular-nums; white-space: nowrap}
.b2v-note, .b2v-within {color: inherit; opacity: .75; font-size: .9em}
.b2v-note {margin: .4em 0 0}
.b2v-task summary {cursor: pointer; opacity: .75; margin: .3em 0}
.b2v-refused {border-left: 4px solid #D55E00; padding: .6em 1em; background: var(--background-fill-secondary);
  overflow-wrap: anywhere}
.b2v-bursts {overflow-x: auto; margin-bottom: 1em}
.b2v-bursts table {border-collapse: collapse; width: 100%; border: 0 !important}
.b2v-bursts th, .b2v-bursts td {text-align: left; vertical-align: top; padding: .35em .7em; font-size: .92em;
  border: 0; border-bottom: 1px solid var(--border-color-primary); font-variant-numeric: tabular-nums}
.b2v-bursts th {white-space: nowrap}
.b2v-burst {margin: .3em 0}
.b2v-picture {width: 100%; background: white}
@media (max-width: 640px) {
  .b2v-row {grid-template-columns: 6em 1fr 7em; gap: .5em}
  .b2v-within {display: block}
}
"""


def answer_html(tasks: Sequence[Task], answer: dict) -> str:
    """Each task's labels as bars, the greatest first, and what holds the label, where that was measured.

    Args:
        tasks: the model's.
        answer: of a clip, as the pipeline gives it, with ``conformal`` or without.
    """
    within = answer.get("conformal", {})
    return "".join(_task_html(task, _values(task, answer), within.get(task.name)) for task in tasks)


def _values(task: Task, answer: dict) -> dict[str, float]:
    """The numbers of a task by label, the greatest first."""
    said = answer[task.name]
    values = said.get("probabilities", said) if isinstance(said, dict) else {task.name: said}
    return dict(sorted(values.items(), key=lambda item: -item[1]))


def _task_html(task: Task, values: dict[str, float], within) -> str:
    rows = [_row_html(task, label, value, within) for label, value in values.items()]
    folded = f"<details><summary>{len(rows) - SHOWN} more</summary>{''.join(rows[SHOWN:])}</details>"
    return (
        f'<section class="b2v-task"><h3>{escape(_heading(task, values))}</h3>{"".join(rows[:SHOWN])}'
        f'{folded if len(rows) > SHOWN else ""}<p class="b2v-note">{escape(_certainty(task, within))}</p></section>'
    )


def _heading(task: Task, values: dict[str, float]) -> str:
    if task.kind == "classification":
        return f"{task.name}: {next(iter(values))}"
    low, high = task.span
    return f"{task.name}, {low:g} to {high:g}" + (f" {task.unit}" if task.unit else "")


def _row_html(task: Task, label: str, value: float, within) -> str:
    low, high = (0.0, 1.0) if task.kind == "classification" else task.span

    def place(number: float) -> float:
        return 100 * min(1.0, max(0.0, (number - low) / (high - low)))

    interval, beside = _interval(task, label, within), ""
    line = ""
    if interval is not None:
        start, end = map(place, interval)
        line = f'<div class="b2v-interval" style="left:{start:.1f}%;width:{end - start:.1f}%"></div>'
        beside = f" ({_number(task, interval[0])} to {_number(task, interval[1])})"
    return (
        f'<div class="b2v-row"><div class="b2v-name">{escape(label)}</div><div class="b2v-track">'
        f'<div class="b2v-bar" style="width:{place(value):.1f}%"></div>{line}</div><div class="b2v-number">'
        f'{escape(_with_unit(task, value))}<span class="b2v-within">{beside}</span></div></div>'
    )


def _interval(task: Task, label: str, within) -> list[float] | None:
    if within is None or task.kind == "classification":
        return None
    return within[label] if isinstance(within, dict) else within


def _number(task: Task, value: float) -> str:
    wide = task.kind == "regression" and task.span[1] - task.span[0] > 2
    return f"{value:.1f}" if wide else f"{value:.2f}"


def _with_unit(task: Task, value: float) -> str:
    return _number(task, value) + (f" {task.unit}" if task.unit and task.kind == "regression" else "")


def _certainty(task: Task, within) -> str:
    """What the interval or set means, or that there is none."""
    if within is None:
        what = "set of classes" if task.kind == "classification" else "interval"
        return f"No {what}: the model was not calibrated for {task.name}, so how far this may be off is not known."
    often = f"for about {100 * COVERAGE:g} of 100 clips of new speakers"
    if task.kind == "classification":
        return f"{often[0].upper()}{often[1:]} the class is in a set made like this one: {', '.join(within)}."
    return f"Orange: the interval. {often[0].upper()}{often[1:]} the label lies within it."


def bursts_table(tasks: Sequence[Task], bursts: list[dict]) -> pd.DataFrame:
    """A row per burst: where it is, and the strongest of what is said of it.

    Args:
        tasks: the model's.
        bursts: as ``pipeline(…, chunk="bursts")`` gives them.

    Returns:
        ``start (s)``, ``end (s)``, ``confidence``, a column of text per task, and where a burst cannot be used
        ``problem``.
    """
    rows = []
    for burst in bursts:
        row = {"start (s)": burst["start"], "end (s)": burst["end"], "confidence": round(burst["confidence"], 2)}
        if "error" in burst:
            rows.append({**row, **{task.name: "" for task in tasks}, "problem": burst["error"]})
        else:
            rows.append({**row, **{task.name: _in_short(task, burst) for task in tasks}})
    columns = ["start (s)", "end (s)", "confidence", *(task.name for task in tasks)]
    columns += ["problem"] if any("error" in burst for burst in bursts) else []
    return pd.DataFrame(rows, columns=columns).fillna("")


def _in_short(task: Task, answer: dict) -> str:
    within = answer.get("conformal", {}).get(task.name)
    values = list(_values(task, answer).items())
    if task.kind == "classification":
        likely = f"{values[0][0]} {_number(task, values[0][1])}"
        within = within or ()
        others = ", ".join(within) if len(within) <= NAMED else f"{len(within)} classes"
        return likely + (f"; {100 * COVERAGE:g} %: {others}" if within else "")
    if len(task.labels) > 1:
        return ", ".join(f"{label} {_number(task, value)}" for label, value in values[:NAMED])
    between = f" ({_number(task, within[0])} to {_number(task, within[1])})" if within else ""
    return _with_unit(task, values[0][1]) + between


def answers_html(tasks: Sequence[Task], analysis: Analysis) -> str:
    """All that is said of a recording: bars of the whole, or a table of its bursts, and each one's bars on request."""
    seconds = f"{analysis.seconds:.1f} s"
    if not analysis.found:
        bars = answer_html(tasks, analysis.answers[0])
        return f'{bars}<p class="b2v-note">The whole recording, {seconds}, taken as one burst.</p>'
    bursts = analysis.answers
    if not bursts:
        return refusal_html(f"No burst stands out of the background in {seconds}; take the recording as one burst.")
    table = bursts_table(tasks, bursts).to_html(index=False, border=0, float_format="{:.2f}".format)
    folded = [
        f'<details class="b2v-burst"><summary>{burst["start"]:.2f} to {burst["end"]:.2f} s</summary>'
        f"{answer_html(tasks, burst)}</details>"
        for burst in bursts[:UNFOLDED]
        if "error" not in burst
    ]
    count = "1 burst stands" if len(bursts) == 1 else f"{len(bursts)} bursts stand"
    return (
        f"<p>{count} out of the background in {seconds}. Speech and other sounds may do so too.</p>"
        f'<div class="b2v-bursts">{table}</div>{"".join(folded)}'
    )


def picture_html(tasks: Sequence[Task], analysis: Analysis) -> str:
    """Waveform and spectrogram, with the bursts that were found, as a picture inside the page; no file is kept."""
    bursts = analysis.answers if analysis.found else []
    rows = [
        {
            **{key: burst[key] for key in ("start", "end", "confidence")},
            "strongest": "" if "error" in burst else next(iter(_values(tasks[0], burst))),
        }
        for burst in bursts
    ]
    figure, _ = burst_figure(analysis.waveform, pd.DataFrame(rows, columns=["start", "end", "confidence", "strongest"]))
    picture = base64.b64encode(picture_bytes(figure, PIXELS_PER_INCH)).decode()
    about = f"waveform and spectrogram of {analysis.seconds:.1f} s" + (f", {len(rows)} bursts" if rows else "")
    return f'<img class="b2v-picture" alt="{about}" src="data:image/png;base64,{picture}">'


def refusal_html(sentence: str) -> str:
    """Why there is no answer."""
    return f'<div class="b2v-refused" role="alert">{escape(sentence)}</div>'
