"""A corpus is counted as one would count it by hand, and what would spoil a run is said before it."""

import io
import json
import warnings

import numpy as np
import pytest
import soundfile
from datasets import IterableDataset

from burst2vec.data.checking import check_corpus
from burst2vec.data.checking.check_report import write_report
from burst2vec.data.checking.check_tables import contents_table, label_table, lacking_clips, printed_table, sound_table
from burst2vec.data.checking.duplicates import find_duplicates
from burst2vec.data.corpora import CORPORA
from burst2vec.data.corpora.label_tables import Lost
from burst2vec.data.corpora.record import PrintedCounts
from burst2vec.errors import CorpusError
from burst2vec.tasks import EXVO_COUNTRIES
from tests.data.checking.small_splits import NAN, TASKS, constant, sentences, split


def test_where_nobody_needs_sound_labels_and_speakers_are_looked_at_and_no_file_is(sound_corpus):
    gone = [{"bytes": None, "path": f"nowhere/{number}.wav"} for number in range(4)]
    train = sound_corpus["train"].remove_columns("audio").add_column("audio", gone)
    shared = {"train": train, "validation": split({"speaker": "A"}, {"speaker": "C"})}
    check = check_corpus(shared, TASKS, sound=False)
    assert [remark.text.split(",")[0] for remark in check.remarks] == ["1 speaker is in more than one split"]
    assert check.facts["train"]["seconds"] is None and check.facts["train"]["unreadable"] == 0
    assert check.summary().splitlines()[0] == "train: 4 clips, 2 speakers"
    with pytest.raises(CorpusError, match="4 of 4 clips cannot be read"):
        check_corpus(shared, TASKS).raise_if_refused()


def test_nothing_wrong_has_no_remarks_and_status_0(sound_corpus):
    check = check_corpus(sound_corpus, TASKS)
    assert check.remarks == () and check.status == 0 and check.flagged.empty
    check.raise_if_refused()
    assert check.splits == ("train", "validation")
    assert check.summary().splitlines()[0].startswith("train: 4 clips, 00:00:00, 2 speakers, 0.10 to 0.20 s, median")


def test_facts_are_those_counted_by_hand(sound_corpus):
    facts = check_corpus(sound_corpus, TASKS).facts
    train = facts["train"]
    assert (train["clips"], train["speakers"], train["unreadable"], train["unnamed"]) == (4, 2, 0, 0)
    assert train["duration_seconds"] == pytest.approx(0.5)  # three of 0.1 s and one of 0.2 s
    assert train["seconds"] == pytest.approx({"min": 0.1, "median": 0.1, "mean": 0.125, "max": 0.2})
    assert train["level_dbfs"]["median"] == pytest.approx(-20, abs=0.5)
    assert train["labels"]["age"]["age"] == {"min": 20.0, "mean": 21.5, "max": 23.0, "missing": 0}
    awe = train["labels"]["emotion"]["Awe"]
    assert awe == pytest.approx({"min": 0.0, "mean": 0.15, "max": 0.3, "missing": 0})
    china = {"clips": 2, "speakers": 2}  # clips 0 and 2, by A and B
    assert train["labels"]["country"] == {"classes": {"China": china, "Venezuela": china}, "missing": 0}
    assert facts["all"]["clips"] == 7 and facts["all"]["speakers"] == 3
    assert facts["all"]["duration_seconds"] == pytest.approx(0.8)


def test_levels_are_percentiles_of_the_clips():
    levels = [-40.0, -30.0, -20.0]
    clips = [{"sound": constant(10 ** (level / 20))} for level in levels]
    found = check_corpus({"train": split(*clips)}, TASKS).facts["train"]["level_dbfs"]
    assert found == pytest.approx({"5 %": -39.0, "median": -30.0, "95 %": -21.0}, abs=1e-3)


def test_tables_read_as_the_white_papers(sound_corpus):
    check = check_corpus(sound_corpus, TASKS)
    contents = contents_table(check)
    assert list(contents.columns) == ["train", "validation", "all"]
    assert list(contents.loc["Clips"]) == ["4", "3", "7"]
    assert list(contents.loc["Country: China"]) == ["2 (2)", "2 (1)", "4 (3)"]
    assert sound_table(check).loc["Length (s): longest", "train"] == "0.20"
    assert label_table(check).loc["Age (years)", "train"] == "20.0 / 21.5 / 23.0"
    assert label_table(check).loc["Emotion: Fear", "train"] == "0.50 / 0.58 / 0.65"  # 0.575, rounded


def test_what_was_printed_of_a_corpus_stands_beside_what_is_here(sound_corpus, tmp_path):
    printed = PrintedCounts(
        "A paper, Table 1",
        {
            "train": {
                "duration": "00:00:09",
                "clips": 6,
                "speakers": 2,
                "female_male": "1:1",
                "classes": {"country": {"Venezuela": 1, "China": 2}},
            },
            "validation": {"duration": "00:00:01", "clips": 3, "speakers": 1},
            "test": {"duration": "00:10:00", "clips": 1_200, "speakers": 3},
        },
    )
    check = check_corpus(sound_corpus, TASKS)
    table = printed_table(check, printed)
    assert list(table["train, printed"]) == ["00:00:09", "6", "2", "1:1", "1", "2"]
    assert list(table["train, here"]) == ["00:00:00", "4", "2", "–", "2", "2"]
    assert list(table["validation, printed"])[3:] == ["–"] * 3 and list(table["test, here"]) == ["–"] * 6
    lacking = "train lacks 2 of 6 clips; test lacks 1,200 of 1,200 clips"
    assert lacking_clips(check, printed) == lacking
    write_report(check, tmp_path, "x", ("md",), printed=printed)
    assert f"Printed: A paper, Table 1. {lacking.capitalize()}." in (tmp_path / "report.md").read_text()
    whole = PrintedCounts("p", {"validation": printed.splits["validation"]})
    assert lacking_clips(check, whole) == "every split has as many clips as printed"


def test_the_counts_of_hume_vb_are_those_of_table_1():
    splits = CORPORA["hume_vb"].printed.splits
    for name in ("train", "validation"):
        assert sum(splits[name]["classes"]["country"].values()) == splits[name]["speakers"]
        assert sum(map(int, splits[name]["female_male"].split(":"))) == splits[name]["speakers"]
        assert set(splits[name]["classes"]["country"]) == set(EXVO_COUNTRIES)
    assert sum(printed["clips"] for printed in splits.values()) == 59_201
    assert sum(printed["speakers"] for printed in splits.values()) == 1_702
    hours = [[int(part) for part in printed["duration"].split(":")] for printed in splits.values()]
    # The paper's sum is a second more than its parts', which are rounded.
    assert sum(3600 * h + 60 * m + s for h, m, s in hours) == pytest.approx(36 * 3600 + 47 * 60 + 4, abs=1)


def test_speakers_in_two_splits_are_refused_by_name_and_forced_on_request(sound_corpus):
    corpus = {**sound_corpus, "test": split({"speaker": "A", "seed": 7}, {"speaker": "C", "seed": 8}, {"seed": 9})}
    check = check_corpus(corpus, TASKS)
    assert check.status == 2 and "2 speakers are in more than one split" in check.remarks[0].text
    with pytest.raises(CorpusError, match=r"allow_shared_speakers: A \(train, test\); C \(validation, test\)"):
        check.raise_if_refused()
    assert list(check.flagged["name"]) == ["A", "C"] and "A (train, test)" in check.summary()
    forced = check_corpus(corpus, TASKS, allow_shared_speakers=True)
    assert forced.status == 1 and forced.remarks[0].severity == "problem"
    forced.raise_if_refused()


def test_a_speaker_in_two_splits_is_seen_in_every_spelling(sound_corpus):
    corpus = {**sound_corpus, "test": split({"speaker": "A ", "seed": 7}, {"speaker": "c", "seed": 8}, {"seed": 9})}
    with pytest.raises(CorpusError, match=r"'A' = 'A ' \(train, test\); 'C' = 'c' \(validation, test\)"):
        check_corpus(corpus, TASKS).raise_if_refused()
    within = {"train": split({"speaker": "A"}, {"speaker": "a", "seed": 8}, {"seed": 9, "speaker": "B"})}
    assert check_corpus(within, TASKS).status < 2


@pytest.mark.parametrize("nobody", ["", "  ", None])
def test_a_clip_of_nobody_shares_no_speaker(nobody):
    named = {"speaker": "A", "seed": 1}
    check = check_corpus({"train": split({"speaker": nobody}, named), "test": split({"speaker": nobody})}, TASKS)
    assert check.status != 2 and check.facts["all"]["speakers"] == 1
    assert "note: train: 1 of 2 clips name no speaker; one in two splits could not be seen" in sentences(check)


def test_unreadable_clips_are_counted_and_all_listed_with_the_reason():
    corpus = {
        "train": split({}, {}, {"sound": b""}),
        "test": split({"sound": b"nothing like sound", "seed": 5}, {}, {}),
    }
    corpus["test"] = corpus["test"].map(lambda row: {"speaker": ""})
    check = check_corpus(corpus, TASKS)
    assert "problem: train: 1 of 3 clips cannot be read" in sentences(check) and check.status == 1
    listed = check.flagged[check.flagged["finding"] == "unreadable"]
    assert list(zip(listed["split"], listed["name"], strict=True)) == [("train", "clip2"), ("test", "clip0")]
    assert "the file is empty" in listed["detail"].iloc[0] and "not audio" in listed["detail"].iloc[1]
    assert check.facts["train"]["duration_seconds"] == pytest.approx(0.2)


def test_a_split_mostly_unreadable_is_refused_and_all_unreadable_still_has_a_report(tmp_path):
    check = check_corpus({"train": split({"sound": b""}, {"sound": b""}, speaker=True)}, TASKS)
    assert check.summary().splitlines()[0] == "train: 2 clips, 00:00:00"
    assert check.status == 2 and "2 of 2 clips cannot be read, too many to skip" in check.remarks[0].text
    assert check.facts["train"]["seconds"] is None and check.facts["train"]["level_dbfs"] is None
    write_report(check, tmp_path, "broken")
    assert "there is no clip to measure" in (tmp_path / "report.md").read_text()


def test_silent_and_clipped_clips_are_told_apart_from_the_rest():
    silent, faint, loud = {"sound": constant(0.0)}, {"sound": constant(0.0005)}, {"sound": constant(1.0)}
    check = check_corpus({"train": split({}, {}, silent, faint, loud)}, TASKS)
    assert "problem: 2 of 5 clips are silent: below -60 dBFS in every 20 ms" in sentences(check)
    often = "problem: 1 of 5 clips reach full scale, 1 of them in more than 0.1 % of their samples"
    assert often in sentences(check)
    assert check.clips["level_dbfs"].isna().tolist() == [False, False, True, False, False]
    assert list(check.flagged["finding"]) == ["silent", "silent", "clipped"]


@pytest.mark.parametrize(("level", "said"), [(12_589.0, "82.0 dBFS"), (1e30, "600.0 dBFS"), (1.5, "3.5 dBFS")])
def test_levels_that_no_recording_has_are_said_and_end_no_report(tmp_path, level, said):
    check = check_corpus({"train": split({}, {}, {"sound": constant(level)})}, TASKS)
    text = "problem: 1 of 3 clips are louder than full scale allows, over +3 dBFS: their samples are not scaled to"
    assert any(sentence.startswith(text) for sentence in sentences(check)) and check.status == 1
    assert check.flagged.iloc[0].tolist() == ["train", "clip2", "too loud", said]
    assert sound_table(check).loc["Clips louder than full scale", "train"] == "1"
    write_report(check, tmp_path, "loud")
    assert json.loads((tmp_path / "report.json").read_text())["splits"]["train"]["too_loud"] == 1


def test_loud_recordings_are_not_suspected():
    loud = [{"sound": constant(level)} for level in (1.0, 1.2, 0.7)]
    assert check_corpus({"train": split(*loud)}, TASKS).facts["train"]["too_loud"] == 0


def test_headers_that_contradict_themselves_are_said():
    file = io.BytesIO()
    soundfile.write(file, 0.1 * np.random.default_rng(3).standard_normal(1_600), 16_000, format="WAV")
    wrong_rate = bytearray(file.getvalue())
    wrong_rate[24:28] = (8_000).to_bytes(4, "little")
    check = check_corpus({"train": split({}, {}, {"sound": bytes(wrong_rate)})}, TASKS)
    text = "problem: 1 of 3 clips have a header that contradicts itself, and may be read to another sound"
    assert text in sentences(check) and check.facts["train"]["doubtful"] == 1
    assert check.flagged.iloc[0].tolist()[1:3] == ["clip2", "doubtful header"]
    assert "8000 Hz of 2 bytes a frame are 16000" in check.flagged["detail"].iloc[0]
    assert sound_table(check).loc["Clips whose header contradicts itself", "all"] == "1"


def test_a_peak_or_two_at_full_scale_is_only_a_note():
    sound = np.zeros(3_200)
    sound[::2], sound[7] = 0.1, 1.0
    file = io.BytesIO()
    soundfile.write(file, sound, 16_000, format="WAV", subtype="FLOAT")
    check = check_corpus({"train": split({}, {}, {"sound": file.getvalue()})}, TASKS)
    assert check.status == 0 and check.remarks[0].severity == "note" and "0 of them" in check.remarks[0].text


def test_duplicates_across_splits_and_of_other_labels_are_flagged_apart():
    same = {"emotion": [0.1, 0.2, 0.3], "age": 30.0, "country": 0}
    train = split({"seed": 1, **same}, {"seed": 1, **same}, {"seed": 2}, {"seed": 2}, {"seed": 3, **same}, {"seed": 9})
    test = split({"seed": 3, "speaker": "T", "emotion": [NAN] * 3, "age": NAN, "country": -1})
    check = check_corpus({"train": train, "test": test}, TASKS)
    assert sentences(check) == [
        "problem: 2 clips sound exactly like one of another split: what was trained on is scored",
        "problem: 2 clips sound exactly like one that has other labels",
        "problem: 2 clips sound exactly like another of their split",
    ]
    details = dict(zip(check.flagged["name"], check.flagged["detail"], strict=False))
    assert details["clip2"] == "group 2 of 2 clips, other labels"
    assert check.flagged.iloc[-1].tolist() == ["test", "clip0", "duplicate", "group 3 of 2 clips, across splits"]
    assert check.facts["train"]["duplicates"] == 5 and check.facts["all"]["duplicates"] == 6


def test_two_silences_of_one_length_are_no_duplicates():
    check = check_corpus({"train": split({"sound": constant(0.0)}, {"sound": constant(0.0)}, {}, {}, {})}, TASKS)
    assert check.facts["train"]["duplicates"] == 0 and check.facts["train"]["silent"] == 2


def test_duplicates_agree_with_looking_at_every_pair():
    rng = np.random.default_rng(0)
    digests, splits = rng.integers(0, 12, 40), rng.integers(0, 2, 40)
    considered, classes = rng.random(40) < 0.8, rng.integers(-1, 2, 40)
    ages = np.where(rng.random((40, 1)) < 0.3, np.nan, rng.integers(20, 22, (40, 1)).astype(float))
    found = find_duplicates(digests, considered, splits, {"country": classes, "age": ages}).set_index("row")
    for one in range(40):
        alike = [other for other in range(40) if considered[[one, other]].all() and digests[one] == digests[other]]
        assert (one in found.index) == (len(alike) > 1)
        if one in found.index:
            assert found.loc[one, "across_splits"] == any(splits[other] != splits[alike[0]] for other in alike)
            known = {classes[other] for other in alike} - {-1}
            years = {ages[other, 0] for other in alike if not np.isnan(ages[other, 0])}
            assert found.loc[one, "other_labels"] == (len(known) > 1 or len(years) > 1)


def test_no_clips_considered_have_no_duplicates():
    found = find_duplicates(np.zeros(3, int), np.zeros(3, bool), np.zeros(3, int), {})
    assert found.empty and list(found) == ["row", "group", "across_splits", "other_labels", "detail"]


def test_labels_that_are_missing_absent_or_constant_are_said(sound_corpus):
    lonely = {"emotion": [0.5, 0.2, NAN], "country": 1}
    train = split(lonely, {**lonely, "emotion": None, "age": None}, {**lonely, "emotion": [0.5, 0.3, NAN]}, {**lonely})
    check = check_corpus({"train": train}, TASKS)
    assert check.facts["train"]["labels"]["emotion"]["Joy"] == {"min": None, "mean": None, "max": None, "missing": 4}
    assert check.facts["train"]["labels"]["emotion"]["Awe"]["missing"] == 1
    assert "problem: train: no clip of China (country)" in sentences(check)
    assert "note: train: 1 of 4 clips lack the label of the task age" in sentences(check)
    assert label_table(check).loc["Emotion: Joy", "train"] == "–"
    some = [{"age": 30.0}, {"age": 30.0, "country": -1}, {"age": NAN}, {"age": 30.0, "country": None}]
    again = sentences(check_corpus({"train": split(*some)}, TASKS))
    assert "problem: train: no clip of Venezuela (country)" in again
    assert "note: train: 2 of 4 clips lack the label of the task country" in again
    assert "problem: train: all clips have one value of age (age)" in again


def test_a_split_without_labels_matters_only_where_one_learns_from_it(tmp_path):
    unlabelled = split({"seed": 1}, {"seed": 2}, emotion=True, age=True, country=True, speaker=True)
    check = check_corpus({"test": unlabelled}, TASKS)
    assert check.status == 0 and contents_table(check).loc["Country: China", "test"] == "–"
    check = check_corpus({"train": unlabelled}, TASKS)
    assert [f"problem: train: no clip has the label of the task {task.name}" for task in TASKS] == [
        sentence for sentence in sentences(check) if sentence.startswith("problem")
    ]
    assert "  problem: train: no clip has the label of the task age" in check.summary().splitlines()
    write_report(check, tmp_path, "unlabelled")
    text = (tmp_path / "report.md").read_text()
    assert (
        "Left out: no clip has the label of the task country." in text
        and "of the task emotion." in text
        and "Left out: no clip has both" in text
    )


def test_labels_lost_in_reading_are_counted_and_named(tmp_path):
    corpus = {"train": split({}, {}), "test": split({"speaker": "T", "seed": 5}, {"speaker": "T", "seed": 6})}
    lost = [Lost("test", "clip1", "labels dropped", f"{table}.csv, line 3, column Age: 'x'") for table in "ab"]
    check = check_corpus(corpus, TASKS, lost=lost)
    text = "test: 1 of 2 clips have labels that cannot all be read, and lose those of their table"
    assert f"problem: {text}" in sentences(check) and f"{text}: b.csv, line 3, column Age: 'x'" in check.summary()
    assert check.flagged.iloc[-1].tolist() == ["test", "clip1", "labels dropped", "b.csv, line 3, column Age: 'x'"]
    check = check_corpus(corpus, TASKS, lost=[*lost, lost[0]._replace(name="clip0")])
    assert "note: test: 2 of 2 clips have labels" in "\n".join(sentences(check))  # placeholders, perhaps


def test_files_that_are_not_read_are_counted_and_listed_and_not_named_in_the_report(tmp_path):
    lost = [Lost("", f"laugh/SECRET{number}.aiff", "not read", "why") for number in range(2)]
    check = check_corpus({"train": split({}, {})}, TASKS, lost=lost)
    assert "note: 2 files in its folder are no clip of it" in sentences(check) and "SECRET0.aiff" in check.summary()
    write_report(check, tmp_path, "others")
    assert "SECRET" not in (tmp_path / "report.md").read_text()
    assert ",laugh/SECRET1.aiff,not read,why" in (tmp_path / "flagged_clips.csv").read_text()


def test_without_tasks_all_but_labels_is_checked_and_that_is_said(tmp_path):
    corpus = {"train": split({}, {"sound": b""}, {}), "test": split({"seed": 3})}
    check = check_corpus(corpus, ())
    assert "refused: 1 speaker is in more than one split" in sentences(check)[0]
    assert "problem: train: 1 of 3 clips cannot be read" in sentences(check)
    assert sentences(check)[-1] == (
        "note: labels were not looked at, for lack of tasks; name them in a recipe, check_corpus.py --recipe "
        "RECIPE.yaml, or in check_corpus(corpus, tasks)"
    )
    write_report(check, tmp_path, "no tasks")
    assert "What it is labelled with" not in (tmp_path / "report.md").read_text()


def test_a_corpus_without_speakers_or_countries_has_a_report(tmp_path):
    check = check_corpus({"train": split({}, {}, speaker=True)}, TASKS[:2])
    assert contents_table(check).loc["Speakers", "all"] == "–" and check.status == 0 or check.status == 1
    assert any("2 of 2 clips name no speaker" in sentence for sentence in sentences(check))
    write_report(check, tmp_path, "nobody")
    assert "no labels of both age and country" in (tmp_path / "report.md").read_text()


def test_what_is_not_drawn_has_no_heading(tmp_path):
    write_report(check_corpus({"train": split({}, {}, age=True)}, TASKS[:1]), tmp_path, "no ages")
    page, text = ((tmp_path / name).read_text() for name in ("report.html", "report.md"))
    assert "Age by country: Left out: there are" in page and "Age by country: Left out: there are" in text
    assert page.count("<h2>") == text.count("\n## ") == 3 + page.count("<img")
    assert "Age by country</h2>" not in page and "## Age by country" not in text


def test_a_split_of_one_clip_has_a_report_and_is_called_too_few(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check = check_corpus({"train": split({})}, TASKS)
        write_report(check, tmp_path, "one")
    assert "problem: train: has 1 clip, too few to learn or score anything by" in sentences(check)
    assert len([sentence for sentence in sentences(check) if sentence.startswith("problem")]) == 1


def test_what_is_no_corpus_is_refused(sound_corpus):
    with pytest.raises(CorpusError, match="the corpus has no split"):
        check_corpus({}, TASKS)
    with pytest.raises(CorpusError, match="split train: has no clips"):
        check_corpus({"train": sound_corpus["train"].select([])}, TASKS)
    streamed = IterableDataset.from_generator(lambda: iter([]))
    with pytest.raises(
        CorpusError, match="split train: a IterableDataset is not checked; load it with streaming=False"
    ):
        check_corpus({"train": streamed}, TASKS)


def test_two_processes_count_what_one_counts():
    many = {"train": split(*({} for _ in range(220)))}
    assert check_corpus(many, TASKS, num_proc=2).facts == check_corpus(many, TASKS, num_proc=1).facts
    assert check_corpus(many, TASKS).facts["train"]["clips"] == 220
