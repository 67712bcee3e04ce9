"""What is read of a request's body, and where its reading ends."""

import asyncio

import pytest
from fastapi import HTTPException
from starlette.requests import Request

from burst2vec.serving.limits import MEGABYTE, Limits
from burst2vec.serving.uploads import read_upload

LIMITS = Limits(max_megabytes=1)
FORM = "multipart/form-data; boundary=line"
HEAD = b'--line\r\nContent-Disposition: form-data; name="file"; filename="../../a.wav"\r\n\r\n'
END = b"\r\n--line--\r\n"


def read(chunks, kind="audio/wav", pause=0.0, limits=LIMITS, **headers):
    """What ``read_upload`` makes of a body that comes in chunks, and how many it has taken."""
    taken = []

    async def receive():
        await asyncio.sleep(pause)
        if len(taken) == len(chunks):
            return {"type": "http.disconnect"}
        taken.append(chunks[len(taken)])
        return {"type": "http.request", "body": taken[-1], "more_body": len(taken) < len(chunks)}

    named = {"content-type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {"type": "http", "method": "POST", "headers": [(k.encode(), v.encode()) for k, v in named.items()]}
    try:
        return asyncio.run(read_upload(Request(scope, receive), limits)), len(taken)
    except HTTPException as refusal:
        return refusal, len(taken)


@pytest.mark.parametrize("kind", ["audio/wav", "Audio/MPEG; codecs=mp3", "video/webm", "application/octet-stream"])
def test_a_body_is_the_clip(kind):
    assert read([b"RI", b"FF"], kind) == (b"RIFF", 2)


def test_the_file_of_a_form_is_the_clip_and_other_fields_are_passed_over():
    note = b'--line\r\nContent-Disposition: form-data; name="note"\r\n\r\nmine\r\n'
    assert read([note + HEAD + b"RI", b"FF" + END], FORM) == (b"RIFF", 2)


@pytest.mark.parametrize("kind, wrapped", [("audio/wav", False), (FORM, True)])
def test_an_upload_that_is_too_large_is_refused_before_it_is_read(kind, wrapped):
    chunks = [HEAD if wrapped else b"", *[bytes(MEGABYTE // 4)] * 40]
    refusal, taken = read(chunks, kind)
    assert refusal.status_code == 413 and refusal.detail == "the request has more than 1 MB" and taken <= 6
    refusal, taken = read(chunks, kind, content_length=str(10 * MEGABYTE))
    assert refusal.status_code == 413 and taken == 0
    assert refusal.headers["Connection"] == "close"  # what is left of it is not read either


@pytest.mark.parametrize("kind", ["audio/wav", FORM])
def test_a_slow_upload_is_refused_however_steadily_it_comes(kind):
    refusal, taken = read([HEAD, *[b"."] * 1000], kind, pause=0.02, limits=Limits(upload_seconds=0.2))
    assert refusal.status_code == 408 and "0.2 s" in refusal.detail and taken < 20


@pytest.mark.parametrize(
    "chunks, kind, status, said",
    [
        ([b"{}"], "application/json", 415, "the body is application/json; upload a form"),
        ([b"a=b"], "application/x-www-form-urlencoded", 415, "urlencoded"),
        ([b"RIFF"], "", 415, "of no type"),
        ([b""], "audio/wav", 422, "no bytes"),
        ([HEAD + END], FORM, 422, "no bytes"),
        ([HEAD.replace(b'"file"', b'"clip"') + b"RIFF" + END], FORM, 422, "no file in its field 'file'"),
        ([HEAD.replace(b"filename", b"other") + b"RIFF" + END], FORM, 422, "no file in its field 'file'"),
        ([HEAD + b"a\r\n" + HEAD + b"b" + END], FORM, 400, "Too many files"),
        ([b"no form"], FORM, 400, ""),
        ([HEAD + b"RIFF"], FORM, 422, "no file"),
        ([HEAD + b"RIFF"], "multipart/form-data", 400, "boundary"),
        ([], "audio/wav", 400, "broken off"),
    ],
)
def test_what_is_no_upload_is_refused_in_a_sentence(chunks, kind, status, said):
    refusal, _ = read(chunks, kind)
    assert isinstance(refusal, HTTPException) and refusal.status_code == status and said in refusal.detail


def test_an_upload_is_not_written_to_disk(monkeypatch):
    def written(self):
        raise AssertionError("a file was made")

    monkeypatch.setattr("tempfile.SpooledTemporaryFile.rollover", written)
    monkeypatch.setattr("starlette.formparsers.MultiPartParser.spool_max_size", 100)
    content = bytes(MEGABYTE // 2)
    assert read([HEAD, content, content[: MEGABYTE // 4], END], FORM)[0] == content + content[: MEGABYTE // 4]
