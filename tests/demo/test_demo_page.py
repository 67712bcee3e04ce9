"""The demo: what it says of recordings, its page used by a program and in a browser, and the command."""

import shutil
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from burst2vec import Burst2VecFeatureExtractor, Burst2VecPipeline
from burst2vec.command_line import main
from burst2vec.demo import open_demo
from burst2vec.demo.demo_page import NOTHING_YET, shown
from burst2vec.demo.model_note import model_note
from burst2vec.demo.recording_analysis import FIND_BURSTS, ONE_BURST, analyse_recording
from burst2vec.errors import AudioError, MissingPackageError, RunError
from burst2vec.prediction import load_pipeline
from burst2vec.scoring import calibrate
from burst2vec.tasks import AGE
from tests.audio.test_burst_regions import RATE, bursts_in
from tests.conftest import save_tiny_model

pytestmark = pytest.mark.xdist_group("demo")  # one worker has the one page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# What reaches for the network by itself is off; a tone is what the microphone records.
SWITCHES = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --use-fake-ui-for-media-stream --use-fake-device-for-media-stream"
).split()
CARD = """---
datasets:
- synthetic
- you/bursts
model-index:
- name: tiny
  results:
  - task: {type: audio-classification}
    dataset: {name: synthetic, type: synthetic, split: test}
    metrics: [{type: mae, value: 2.4435, name: age mean absolute error (years)}]
---
# tiny
"""


@pytest.fixture(scope="module")
def analyse(tmp_path_factory):
    """A tiny model with a card; calibrated of age, by 60 speakers who are all three years off."""
    folder = save_tiny_model(tmp_path_factory.mktemp("model"))
    (folder / "README.md").write_text(CARD)
    loaded = load_pipeline(folder)
    labels = {"age": np.full((60, 1), 33.0)}
    loaded.model.config.conformal = calibrate(
        [AGE], {"age": np.full((60, 1), 30.0)}, labels, [f"S{number}" for number in range(60)]
    )
    return loaded


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    soundfile.write(folder / "evening.flac", bursts_in(0.003), RATE)
    soundfile.write(folder / "laugh.wav", bursts_in(0.003)[2 * RATE : 3 * RATE], RATE)
    soundfile.write(folder / "silence.wav", np.zeros(RATE), RATE)
    soundfile.write(folder / "long.wav", np.full(601 * 4_000, 0.1), 4_000)
    (folder / "notes.mp3").write_bytes(b"no recording")
    return folder


@pytest.fixture(scope="module")
def page(analyse):
    opened = open_demo(analyse, port=None)
    yield opened
    opened.close(verbose=False)


def test_a_short_recording_is_one_burst_and_a_long_one_has_its_bursts_found(analyse, recordings):
    laugh, evening = str(recordings / "laugh.wav"), str(recordings / "evening.flac")
    short, long = analyse_recording(analyse, laugh), analyse_recording(analyse, evening)
    assert not short.found and short.answers == [analyse(laugh, coverage=0.9)] and short.seconds == 1
    assert long.found and long.answers == analyse(evening, chunk="bursts", coverage=0.9) and len(long.answers) == 4
    assert set(long.answers[0]["conformal"]) == {"age"}
    assert analyse_recording(analyse, laugh, FIND_BURSTS).found
    assert len(analyse_recording(analyse, evening, ONE_BURST).answers) == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("silence.wav", "silence.wav: is silent: no sample is above -60 dB"),
        ("notes.mp3", "notes.mp3: broken, or not audio"),
        ("long.wav", "long.wav: is longer than 10 minutes; .* burst2vec find"),
        ("none.wav", "none.wav: cannot be read: No such file"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence_without_its_folder(analyse, recordings, name, said):
    with pytest.raises(AudioError, match=f"^{said}"):
        analyse_recording(analyse, recordings / name)


def test_a_fault_of_the_program_is_logged_and_not_shown(analyse, caplog):
    def fails():
        raise KeyError("a secret place")

    answers, picture = shown("laugh.wav", fails, analyse.model.config.task_records)
    assert "the server&#x27;s log says why" in answers and "secret" not in answers and picture == ""
    assert "a secret place" in caplog.text
    assert shown(None, fails, ()) == (NOTHING_YET, "")


def test_the_note_says_corpora_scores_and_calibration_from_the_models_own_card(analyse, tmp_path):
    note = model_note(analyse)
    assert "predicts emotion, age and country." in note and "estimates" in note
    assert "a corpus of synthetic voices: **its scores say nothing about people**; and you/bursts." in note
    assert "Its scores on test: age mean absolute error (years) 2.44." in note
    assert "Intervals and sets for 90 % of new speakers' clips are known of age." in note
    bare = load_pipeline(save_tiny_model(tmp_path))
    assert "It has no card" in model_note(bare) and "It is not calibrated" in model_note(bare)
    for text, said in (("---\n: [\n---\n", "cannot be read"), ("# no metadata", "does not say what it was trained on")):
        (tmp_path / "README.md").write_text(text)
        assert said in model_note(bare)


def test_a_program_gets_answers_and_sentences_and_the_page_keeps_to_itself(page, recordings):
    from gradio_client import Client, handle_file

    assert page.local_url.startswith("http://127.0.0.1:") and page.share_url is None
    assert not page.analytics_enabled and page.config["analytics_enabled"] is False
    client = Client(page.local_url, verbose=False, analytics_enabled=False)
    answers, picture = client.predict(handle_file(recordings / "laugh.wav"), "automatic", api_name="/analyse")
    assert (
        "Venezuela" in answers
        and "The whole recording, 1.0 s" in answers
        and picture.startswith('<img class="b2v-picture"')
    )
    answers, picture = client.predict(handle_file(recordings / "notes.mp3"), "automatic", api_name="/analyse")
    assert "notes.mp3: broken, or not audio" in answers and "Traceback" not in answers and picture == ""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")
def test_in_a_browser_a_file_is_dropped_and_a_microphone_recorded(page, recordings):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        view = browser.new_page()
        view.set_default_timeout(60_000)
        asked = set()
        view.on("request", lambda request: asked.add(request.url.split("/")[2] if "//" in request.url else "itself"))
        view.goto(page.local_url)
        view.locator("input[type=file]").set_input_files(recordings / "laugh.wav")
        view.locator(".b2v-task").nth(2).wait_for()
        assert view.locator("#answers h3").all_inner_texts()[:2] == ["emotion, 0 to 1", "age, 15 to 45 years"]
        assert view.locator("#picture img").evaluate("picture => picture.naturalWidth") > 1_000
        view.get_by_label("Clear").click()
        view.locator("input[type=file]").set_input_files(recordings / "evening.flac")
        view.locator(".b2v-bursts tbody tr").nth(3).wait_for()
        view.get_by_label("Clear").click()
        view.locator("input[type=file]").set_input_files(recordings / "notes.mp3")
        view.get_by_role("alert").filter(has_text="notes.mp3: broken, or not audio").wait_for()
        view.get_by_label("Clear").click()
        view.get_by_label("one burst").check()  # however long a busy machine records
        view.get_by_label("Record audio").click()
        view.get_by_role("button", name="Record", exact=True).click()
        view.wait_for_timeout(1_500)
        view.get_by_role("button", name="Stop", exact=True).click()
        view.locator(".b2v-task").nth(2).wait_for()
        browser.close()
    assert {host.split(":")[0] for host in asked} <= {"127.0.0.1", "itself"}


def test_the_command_serves_until_it_is_ended_and_leaves_no_upload(analyse, recordings, tmp_path, monkeypatch, capsys):
    from gradio import Blocks
    from gradio_client import Client, handle_file

    uploads = []

    def use_it(opened):
        assert opened.delete_cache == (60, 600)
        client = Client(opened.local_url, verbose=False, analytics_enabled=False)
        client.predict(handle_file(recordings / "silence.wav"), "automatic", api_name="/analyse")
        uploads.extend(tmp_path.rglob("*.wav"))

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(Blocks, "block_thread", use_it)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert main(["demo", "--model", str(Path(analyse.model.name_or_path)), "--port", str(port)]) == 0
    assert f"at http://127.0.0.1:{port}/; Ctrl+C ends it" in capsys.readouterr().out
    assert [upload.name for upload in uploads] == ["silence.wav"] and not uploads[0].exists()


def test_what_cannot_be_served_is_refused_in_one_line(analyse, page, monkeypatch, capsys):
    assert main(["demo", "--model", "no/such/model"]) == 2
    refusal = capsys.readouterr().err
    assert refusal.startswith("error: no/such/model: there is no such folder") and refusal.count("\n") == 1
    with pytest.raises(RunError, match="port 70000 is not one of 1 to 65535"):
        open_demo(analyse, port=70_000)
    with pytest.raises(RunError, match=f"cannot serve at 127.0.0.1, port {page.server_port}: .*; give another --host"):
        open_demo(analyse, port=page.server_port)
    extractor = Burst2VecFeatureExtractor(features=["compare"], feature_size=3, normalise_per_speaker=True)
    with pytest.raises(RunError, match="which one recording does not have"):
        open_demo(Burst2VecPipeline(model=analyse.model, feature_extractor=extractor))
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'burst2vec\[demo\]'"):
        open_demo(analyse)
