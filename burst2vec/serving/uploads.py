"""The bytes of the clip that a request uploads, within the limits: counted and timed while they come in."""

import asyncio
import io
from collections.abc import AsyncIterator

from fastapi import HTTPException
from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from .limits import MEGABYTE, Limits

FORM = "multipart/form-data"
FIELD = "file"
BODIES = ("audio/*", "video/webm", "video/mp4", "application/octet-stream")  # browsers call sound in webm a video
MAX_FIELDS = 8  # of a form, beside its file; they are read over
CLOSE = {"Connection": "close"}  # else the server would go through the rest of what it has refused


async def read_upload(request: Request, limits: Limits) -> bytes:
    """The clip of a request: its body, or the file in the form's field ``file``. Nothing is written to disk.

    Raises:
        HTTPException: 413 above ``max_megabytes``, as soon as the request says so or that much is there; 408 when
            ``upload_seconds`` are over; 415 where the body is neither; 422 without a file or without bytes; 400 where
            the form is damaged or the client has left.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM and kind not in BODIES and not kind.startswith("audio/"):
        raise HTTPException(
            415,
            f"the body is {kind or 'of no type'}; upload a form ({FORM}) with the clip in the field {FIELD!r}, or the "
            f"clip itself as {', '.join(BODIES)}",
            CLOSE,
        )
    if int(request.headers.get("content-length", 0)) > limits.max_bytes:
        raise _too_large(limits)
    chunks = _within(request.stream(), limits)
    reading = _file_of_form(request, chunks, limits) if kind == FORM else _whole(chunks)
    try:
        content = await asyncio.wait_for(reading, limits.upload_seconds)
    except asyncio.TimeoutError as error:
        detail = f"the upload took longer than {limits.upload_seconds:g} s"
        raise HTTPException(408, detail, CLOSE) from error
    except ClientDisconnect as error:
        raise HTTPException(400, "the upload was broken off") from error
    if not content:
        raise HTTPException(422, "the clip has no bytes")
    return content


async def _within(chunks: AsyncIterator[bytes], limits: Limits) -> AsyncIterator[bytes]:
    received = 0
    async for chunk in chunks:
        received += len(chunk)
        if received > limits.max_bytes:
            raise _too_large(limits)
        yield chunk


def _too_large(limits: Limits) -> HTTPException:
    return HTTPException(413, f"the request has more than {limits.max_bytes / MEGABYTE:g} MB", CLOSE)


async def _whole(chunks: AsyncIterator[bytes]) -> bytes:
    content = io.BytesIO()  # a list of chunks would take many times as much where they are tiny
    async for chunk in chunks:
        content.write(chunk)
    return content.getvalue()


async def _file_of_form(request: Request, chunks: AsyncIterator[bytes], limits: Limits) -> bytes:
    parser = MultiPartParser(request.headers, chunks, max_files=1, max_fields=MAX_FIELDS)
    parser.spool_max_size = 2 * limits.max_bytes  # above it starlette would write to disk
    try:
        form = await parser.parse()
    except (MultiPartException, FormParserError) as error:
        said = getattr(error, "message", "the form cannot be read")
        raise HTTPException(400, said, CLOSE) from error
    try:
        file = form.get(FIELD)
        if not isinstance(file, UploadFile):
            raise HTTPException(
                422, f"the form has no file in its field {FIELD!r}, as curl -F {FIELD}=@laugh.mp3 gives"
            )
        return await file.read()
    finally:
        await form.close()
