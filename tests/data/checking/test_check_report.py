"""The report of a check: its page, pictures and tables, and what of a corpus may be shared."""

import json

import numpy as np
import pytest

from burst2vec import Task
from burst2vec.data.checking import check_corpus
from burst2vec.data.checking.check_plots import draw_corpus
from burst2vec.data.checking.check_report import write_report
from burst2vec.errors import CorpusError
from tests.data.checking.small_splits import NAN, TASKS, constant, split


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """A report of a corpus with a named pipe's worth of trouble, and of enough clips for every picture."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("secret_place")
    clips = [
        {"emotion": emotions.tolist(), "speaker": f"SPEAKER{number % 7}", "file_id": f"FILE{number}", "age": 20.0 + age}
        for number, (emotions, age) in enumerate(zip(rng.dirichlet([0.3] * 3, 60), rng.integers(0, 9, 60), strict=True))
    ]
    clips[5]["emotion"] = [0.0, 0.0, 0.0]
    (folder / "FILE7.wav").write_bytes(b"")
    train = split(*clips)
    audio = [
        {"bytes": None, "path": str(folder / "FILE7.wav")} if row == 7 else train[row]["audio"] for row in range(60)
    ]
    train = train.remove_columns("audio").add_column("audio", audio)
    check = check_corpus(
        {"train": train, "test": split({"speaker": "SPEAKER0", "seed": 3}, {"sound": constant(0.0)})}, TASKS
    )
    return check, write_report(check, folder / "report", "a <b> | corpus"), folder


def test_the_page_holds_every_picture_and_asks_for_nothing_from_elsewhere(reported):
    _, (page, *_), _ = reported
    text = page.read_text()
    assert text.count("data:image/png;base64,") == 7 and "Left out" not in text
    for outside in ("http:", "https:", "<script", "<link", "@import", "url("):
        assert outside not in text
    assert "<h1>a &lt;b&gt; | corpus" in text


def test_what_may_be_shared_names_no_clip_speaker_or_place(reported):
    check, (page, markdown, facts, flagged), folder = reported
    for file in (page, markdown, facts):
        text = file.read_text()
        assert "FILE" not in text and "SPEAKER" not in text and str(folder) not in text and "secret_place" not in text
    listed = flagged.read_text()
    assert "SPEAKER0" in listed and "FILE7" in listed and "secret_place" in listed
    assert len(listed.splitlines()) == 1 + len(check.flagged)


def test_problems_stand_first_and_the_facts_are_json(reported):
    check, (page, markdown, facts, _), folder = reported
    text = markdown.read_text()
    assert text.startswith("# a &lt;b> \\| corpus: corpus report\n")
    assert text.index("**refused**") < text.index("**problem**") < text.index("## What is in it")
    assert "Refused: a run must not start." in text and "status2" in page.read_text()
    assert json.loads(facts.read_text())["splits"]["train"]["clips"] == 60
    assert {path.name for path in (folder / "report" / "pictures").iterdir()} >= {"emotion_map.png", "lengths.png"}
    for line in text.splitlines():  # every picture that the page shows is there
        if line.startswith("!["):
            assert (folder / "report" / line.split("(")[1].rstrip(")")).is_file()


def test_one_seed_draws_one_map(reported):
    check, *_ = reported
    maps = [
        next(picture for picture in draw_corpus(check, seed) if picture.name == "emotion_map") for seed in (1, 1, 2)
    ]
    points = [maps[number].figure.axes[0].collections[1].get_offsets() for number in range(3)]
    np.testing.assert_array_equal(points[0], points[1])
    assert not np.array_equal(points[0], points[2])
    assert "60 clips of train, placed by seed 1" in maps[0].caption


def test_a_map_draws_at_most_so_many_clips_and_says_so(reported, monkeypatch):
    monkeypatch.setattr("burst2vec.data.checking.check_plots.MOST_POINTS", 55)
    picture = next(picture for picture in draw_corpus(reported[0]) if picture.name == "emotion_map")
    assert "55 of 60 clips of train, drawn and placed by seed 0" in picture.caption


def test_too_few_different_emotions_make_no_map(sound_corpus):
    pictures = {picture.name: picture for picture in draw_corpus(check_corpus(sound_corpus, TASKS))}
    assert pictures["emotion_map"].figure is None and "take 4 different values" in pictures["emotion_map"].caption
    pictures = {picture.name: picture for picture in draw_corpus(check_corpus(sound_corpus, TASKS[1:]))}
    assert "no task of three or more" in pictures["emotion_map"].caption


def test_ages_and_countries_are_counted_of_training_and_validation():
    train = split({"age": 20.0}, {"age": 20.5, "country": 0}, {"age": 39.5, "country": 1}, {"age": NAN})
    check = check_corpus({"train": train, "validation": split({"age": 30.0}), "test": split({"age": 30.0})}, TASKS)
    picture = next(draw_corpus(check))
    assert "of 4 clips of train and validation" in picture.caption
    left, right = picture.figure.axes
    bars = [(bar.get_x(), bar.get_height()) for bar in left.patches if bar.get_height()]
    assert sorted(bars) == [(20.0, 2), (30.0, 1), (39.0, 1)]
    assert [bar.get_width() for bar in right.patches] == [3, 1]
    assert [text.get_text() for text in right.texts] == ["3; median age 20.5", "1; median age 39.5"]
    everything = next(draw_corpus(check_corpus({"test": split({"age": 30.0})}, TASKS)))
    assert "of 1 clips, stacked" in everything.caption


def test_more_countries_than_colours_show_the_largest():
    names = tuple(f"Country {number}" for number in range(9))
    country = Task("country", kind="classification", labels=names, loss="cross_entropy", metric="uar")
    clips = [{"country": number % 9, "age": 20.0 + number} for number in range(20)]
    check = check_corpus({"train": split(*clips)}, (TASKS[1], country))
    picture = next(draw_corpus(check))
    assert "The 7 of 9 countries that have the most clips" in picture.caption


@pytest.mark.parametrize("labels", [15, 25])
def test_many_emotions_have_as_many_colours(labels):
    task = Task("culture", kind="regression", labels=tuple(f"label {number}" for number in range(labels)))
    vectors = np.random.default_rng(0).random((60, labels))
    dataset = split(*({"culture": vector.tolist()} for vector in vectors))
    pictures = {picture.name: picture for picture in draw_corpus(check_corpus({"train": dataset}, (task,)))}
    parts = pictures["emotion_map"].figure.axes[0].collections[1:]
    assert len({tuple(part.get_facecolor()[0][:3]) for part in parts}) == len(parts) > 10
    assert sum(axis.get_visible() for axis in pictures["labels_culture"].figure.axes) == labels


def test_a_report_of_one_format_writes_that_page_alone(sound_corpus, tmp_path):
    check = check_corpus(sound_corpus, TASKS)
    names = [path.name for path in write_report(check, tmp_path / "html", "x", ("html",))]
    assert names == ["report.html", "report.json", "flagged_clips.csv"] and not (tmp_path / "html/pictures").exists()
    assert "Nothing is wrong." in (tmp_path / "html/report.html").read_text()
    with pytest.raises(ValueError, match="format 'pdf' is not one of html, md"):
        write_report(check, tmp_path, "x", ("pdf",))
    with pytest.raises(CorpusError, match="is a file"):
        write_report(check, tmp_path / "html/report.html", "x")


def test_clips_and_speakers_called_like_formulas_are_listed_as_text(tmp_path):
    train = split({"speaker": "@A"}, {"file_id": "=1+1", "sound": b""}, {})
    check = check_corpus({"train": train, "test": split({"speaker": "@A", "seed": 7})}, TASKS)
    write_report(check, tmp_path, "formulas")
    lines = (tmp_path / "flagged_clips.csv").read_text().splitlines()
    assert "train,'=1+1,unreadable,\"'=1+1: the file is empty" in lines[2] and '"train, test",\'@A,shared' in lines[1]
    assert check.flagged["name"].tolist() == ["@A", "=1+1"]  # in the table that the check gives they are themselves


def test_names_with_signs_of_formulas_have_a_report_and_every_picture(tmp_path):
    odd = (r"$\badmacro{$", "$x$", "5 $ or $ 6")
    tasks = (
        Task("emotion", "regression", odd),
        Task("age", "regression", ("age",), unit=odd[0], span=(15, 99), loss="mae", metric="mae"),
        Task("country", "classification", odd, loss="cross_entropy", metric="uar"),
    )
    vectors = np.random.default_rng(0).random((60, 3))
    dataset = split(*({"emotion": vector.tolist(), "country": row % 3} for row, vector in enumerate(vectors)))
    write_report(check_corpus({"train": dataset}, tasks), tmp_path, "a $ and a $")
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 7 and r"Country: $\badmacro{$" in page
