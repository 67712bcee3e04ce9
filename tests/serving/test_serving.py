"""A served model says what its pipeline says, to many at once, and refuses the rest in sentences."""

import io
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile
import uvicorn
from starlette.testclient import TestClient

from burst2vec import Burst2VecFeatureExtractor, Burst2VecPipeline
from burst2vec.errors import RunError
from burst2vec.serving.app import make_app
from burst2vec.serving.limits import Limits
from tests.conftest import exvo_quantiles, noise_clips, tiny_model

RATE = 16_000


def wav(samples, rate=RATE):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


CLIPS = [wav(0.1 * clip) for clip in noise_clips(*range(1_000, 7_400, 100))]  # 64, each of its own length


@pytest.fixture(scope="module")
def analyse():
    model = tiny_model()
    model.config.conformal = exvo_quantiles()
    return Burst2VecPipeline(model=model, feature_extractor=Burst2VecFeatureExtractor())


@pytest.fixture(scope="module")
def client(analyse):
    with TestClient(make_app(analyse), raise_server_exceptions=False) as client:
        yield client


def upload(client, content, **query):
    return client.post("/predict", files={"file": ("laugh.wav", content)}, params=query)


def same(answer, expected):
    """Whether two answers are the same but for the rounding of a batch."""
    assert list(answer) == list(expected)
    for name, value in expected.items():
        if isinstance(value, dict):
            same(answer[name], value)
        else:
            assert answer[name] == (value if isinstance(value, str) else pytest.approx(value, abs=1e-4)), name
    return True


def test_an_answer_is_the_pipelines(client, analyse):
    assert same(upload(client, CLIPS[5]).json(), analyse(CLIPS[5]))
    raw = client.post("/predict", content=CLIPS[5], headers={"Content-Type": "audio/wav"})
    assert raw.json() == upload(client, CLIPS[5]).json()
    asked = {"coverage": 0.9, "return_embedding": True}
    assert same(upload(client, CLIPS[5], **asked).json(), analyse(CLIPS[5], **asked))


def test_of_64_at_once_each_has_its_own_answer_and_bad_ones_cost_no_other_its_own(client, analyse, monkeypatch):
    sizes, forward = [], analyse.forward

    def watched(batch, **kwargs):
        sizes.append(len(batch["input_values"]))
        time.sleep(0.1 if len(sizes) == 1 else 0)  # the others come meanwhile
        return forward(batch, **kwargs)

    expected = analyse(CLIPS, batch_size=16)
    monkeypatch.setattr(analyse, "forward", watched)
    bad = {7: b"no recording", 30: wav(np.zeros(399)), 31: CLIPS[31][:-100]}
    given = [bad.get(place, clip) for place, clip in enumerate(CLIPS)]
    with ThreadPoolExecutor(64) as clients:
        answers = list(clients.map(lambda clip: upload(client, clip), given))
    for place, answer in enumerate(answers):
        assert answer.status_code == (422 if place in bad else 200)
        assert place in bad or same(answer.json(), expected[place])
    assert sum(sizes) == 64 - len(bad) and 1 < max(sizes) <= Limits().batch_size


@pytest.mark.parametrize(
    "content, said",
    [
        (b"no recording at all", "clip: broken, or not audio: 19 bytes that start with b'no recording'"),
        (wav(np.zeros(100)), "clip: 100 samples at 16000 Hz are 6.2 ms; a burst has 25 ms to 60 s"),
        (wav(np.zeros(61 * 4000), 4000), "61.0 s; allowed: up to 60 s"),
        (wav(np.full(4000, np.nan)), "sample 0 is nan; every sample must be a finite number"),
    ],
    ids=[
        "no recording",
        "too short",
        "too long",
        "not finite",
    ],  # a WAV of floats holds the time that it was written at
)
def test_a_clip_that_cannot_be_used_is_refused_in_the_packages_sentence(client, content, said):
    answer = upload(client, content)
    assert answer.status_code == 422 and said in answer.json()["detail"]
    assert "Traceback" not in answer.text and "/" not in answer.text


def test_arguments_are_refused_before_the_upload_is_read(client, analyse, monkeypatch):
    assert upload(client, b"", coverage=90).json()["detail"].startswith("coverage must be a number above 0")
    assert upload(client, b"", coverage="most").status_code == 422
    monkeypatch.setattr(analyse.model.config, "conformal", None)
    answer = upload(client, b"", coverage=0.9)
    assert answer.status_code == 422 and "does not have the quantiles of its errors" in answer.json()["detail"]


def test_the_limits_hold_over_http(analyse):
    app = make_app(analyse, Limits(max_megabytes=0.01))
    with TestClient(app) as client:
        assert upload(client, CLIPS[0]).status_code == 200
        assert upload(client, CLIPS[-1]).status_code == 413
        assert client.post("/predict", json={}).status_code == 415


def test_a_fault_of_the_server_shows_neither_path_nor_traceback(client, analyse, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("/secret/place")

    monkeypatch.setattr(analyse, "forward", broken)
    answer = upload(client, CLIPS[0])
    assert (answer.status_code, answer.json()) == (500, {"detail": "a fault of the server, which its log describes"})
    monkeypatch.undo()
    assert upload(client, CLIPS[0]).status_code == 200


def test_too_many_requests_are_sent_away_and_told_when_to_come_again(analyse, monkeypatch):
    go, forward = threading.Event(), analyse.forward
    monkeypatch.setattr(analyse, "forward", lambda *args, **kwargs: go.wait(30) and forward(*args, **kwargs))
    app = make_app(analyse, Limits(max_requests=1))
    with TestClient(app) as client, ThreadPoolExecutor(1) as other:
        first = other.submit(upload, client, CLIPS[0])
        while client.get("/health").json()["requests"] == 0:
            time.sleep(0.01)
        second = upload(client, CLIPS[0])
        assert second.status_code == 503 and second.headers["Retry-After"] == "1"
        go.set()
        assert first.result(30).status_code == 200 and upload(client, CLIPS[0]).status_code == 200


def test_health_and_what_the_model_predicts(client):
    assert client.get("/health").json() == {"status": "ok", "requests": 0}
    about = client.get("/").json()
    assert list(about["tasks"]) == ["emotion", "age", "country"] and about["tasks"]["age"]["unit"] == "years"
    assert about["coverage"] is True and about["seconds"] == [0.025, 60.0]
    assert TestClient(client.app).get("/health").status_code == 200


def test_the_documentation_needs_no_internet_and_names_every_label(client):
    page = client.get("/docs").text
    fetched = re.findall(r'(?:src|href)="(.+?)"', page)
    assert len(fetched) >= 3 and all(client.get(place).status_code == 200 for place in fetched)
    assert "http://" not in page and "https://" not in page
    described = client.get("/openapi.json").json()["paths"]["/predict"]["post"]
    assert {"multipart/form-data", "audio/*"} <= set(described["requestBody"]["content"])
    answer = described["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
    assert answer["age"] == {"type": "number", "description": "years"} and "Awe" in answer["emotion"]["properties"]
    assert {"408", "413", "415", "422", "503"} <= set(described["responses"])


def test_a_model_that_takes_all_clips_of_a_speaker_is_refused(analyse):
    extractor = Burst2VecFeatureExtractor(features=["mine"], feature_size=3, normalise_per_speaker=True)
    with pytest.raises(RunError, match="all clips of a speaker at once"):
        make_app(Burst2VecPipeline(model=analyse.model, feature_extractor=extractor))


@contextmanager
def served(app):
    """A real server of an application, and its address."""
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=30))
    with socket.create_server(("127.0.0.1", 0)) as place:
        address = place.getsockname()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
        thread.start()
        try:
            yield server, address
        finally:
            server.should_exit = True
            thread.join(60)
            assert not thread.is_alive()


def head(length, kind=b"audio/wav"):
    return b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind, length)


def test_a_server_that_is_stopped_answers_what_has_begun(analyse):
    app = make_app(analyse)
    with served(app) as (server, address), socket.create_connection(address, timeout=60) as caller:
        caller.sendall(head(len(CLIPS[0])) + CLIPS[0][:100])
        while not server.server_state.tasks:
            time.sleep(0.01)
        server.should_exit = True
        time.sleep(0.3)  # it looks every tenth of a second
        caller.sendall(CLIPS[0][100:])
        answer = caller.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200") and b'"emotion"' in answer


def test_a_connection_whose_upload_stalls_or_is_too_large_is_answered_and_closed(analyse):
    app = make_app(analyse, Limits(upload_seconds=0.2, max_megabytes=0.1))
    with served(app) as (_, address):
        for sent, status in ((head(1_000) + b"RIFF", b"408"), (head(10**12) + b"RIFF", b"413")):
            with socket.create_connection(address, timeout=60) as caller:
                caller.sendall(sent)
                assert caller.makefile("rb").read().startswith(b"HTTP/1.1 " + status)
