"""The command burst2vec serve, and the image that starts it."""

import fnmatch
import importlib.util
import json
import re
import runpy
import socket
from pathlib import Path

import pytest
import setuptools

from burst2vec.command_line import main
from burst2vec.command_line.shipped import shipped
from burst2vec.errors import RunError
from burst2vec.serving.limits import Limits

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")


def refusal(capsys, *words):
    assert main(["serve", *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    return said


@pytest.fixture(autouse=True)
def own_words(monkeypatch):
    monkeypatch.setattr("sys.argv", ["burst2vec"])


def test_what_cannot_be_served_is_refused_in_one_line(capsys, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"--port {port}: Address already in use" in refusal(capsys, "--model", "here", "--port", port)
    assert "--port 99999" in refusal(capsys, "--model", "here", "--port", "99999")
    assert "no such folder" in refusal(capsys, "--model", "./not/here", "--port", "0")
    assert "--batch_size 0 must be 1 or more" in refusal(capsys, "--model", "here", "--batch_size", "0")
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else found(name))
    assert "serving needs uvicorn: pip install 'burst2vec[serve]'" in refusal(capsys, "--model", "here")


def test_limits_are_numbers_that_work():
    with pytest.raises(RunError, match="--max_megabytes nan must be 0.001 or more"):
        Limits(max_megabytes=float("nan"))
    with pytest.raises(RunError, match="--upload_seconds inf"):
        Limits(upload_seconds=float("inf"))


def instructions(kind):
    return [line.removeprefix(kind).strip() for line in DOCKERFILE.splitlines() if line.startswith(kind)]


def test_the_image_copies_what_is_there_and_all_that_the_package_is_built_from():
    copied = [name for line in instructions("COPY") for name in line.split()[:-1]]
    assert copied and all((ROOT / name).exists() for name in copied)
    left_out = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert not [name for name in copied for pattern in left_out if fnmatch.fnmatch(name, pattern)]
    setup = (ROOT / "setup.py").read_text()
    needed = set(re.findall(r'"(burst2vec|examples|metrics|README\.md)[/"]', setup))
    assert needed <= set(copied) and len(needed) == 4 and "constraints.txt" in copied


def test_the_image_starts_the_command_as_somebody_else_than_root_and_asks_for_its_health(monkeypatch):
    (command,) = map(json.loads, instructions("ENTRYPOINT"))
    (rest,) = map(json.loads, instructions("CMD"))
    assert command[:2] == ["burst2vec", "serve"]
    serve = runpy.run_path(str(shipped("commands") / "serve.py"))
    options = serve["parser"]().parse_args([*command[2:], *rest])
    assert options.host == "0.0.0.0" and instructions("EXPOSE") == [str(options.port)]
    assert f":{options.model}:ro" in DOCKERFILE
    assert instructions("USER")[-1] not in ("root", "0")
    (asked,) = re.findall(r"http://127\.0\.0\.1:(\d+)/(\w+)", instructions("HEALTHCHECK")[0])
    assert asked == (str(options.port), "health")
    told = {}
    monkeypatch.setattr(setuptools, "setup", told.update)
    runpy.run_path(str(ROOT / "setup.py"))
    (extras,) = re.findall(r"\.\[([\w,]+)\]", DOCKERFILE)
    assert set(extras.split(",")) <= set(told["extras_require"])
