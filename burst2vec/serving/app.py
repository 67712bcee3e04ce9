"""The application: ``POST /predict``, ``GET /health``, ``GET /``, and its own documentation at ``/docs``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline

from ..audio.decode import ALLOWED
from ..errors import CLIP_FAULTS, MissingPackageError, RunError
from ..pipeline_burst2vec import Burst2VecPipeline
from ..version import __version__
from ..waveforms import MAX_SAMPLES, MIN_SAMPLES, SAMPLING_RATE
from .answer_schema import answer_schema
from .answering import Answering, TooManyError
from .limits import Limits
from .uploads import BODIES, CLOSE, FIELD, FORM, read_upload

REFUSALS = {
    400: "The form is damaged.",
    408: "The upload took too long.",
    413: "The upload is too large.",
    415: "The body is no upload, or in a format that this server does not read.",
    422: "The clip cannot be used, such as of 61 s, or an argument cannot.",
    503: "Too many requests at once; come again when Retry-After says.",
}
RETRY_AFTER = {**CLOSE, "Retry-After": "1"}  # seconds


def make_app(analyse: Burst2VecPipeline, limits: Limits | None = None, features: list[str] | None = None) -> FastAPI:
    """An ASGI application that answers clips as a pipeline does.

    Requests that wait together are predicted together. A refusal is ``{"detail": sentence}``.

    Args:
        analyse: the pipeline.
        limits: by default those of ``Limits``.
        features: of a model that takes vectors, its feature sets with their places on this machine.

    Raises:
        RunError: a model that takes all clips of a speaker at once.
        CorpusError: feature sets that are not found.
    """
    limits = limits or Limits()
    answering = Answering(analyse, limits, features)
    tasks = analyse.model.config.task_records
    calibrated = bool(analyse.model.config.conformal)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with answering.at_work():
            yield

    app = FastAPIOffline(
        title="burst2vec",
        version=__version__,
        redoc_url=None,
        lifespan=lifespan,
        description="What is in vocal bursts.",
    )

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": "a fault of the server, which its log describes"}, 500)

    @app.get("/health", summary="Whether clips are answered")
    async def health() -> JSONResponse:
        state = {"status": "ok" if answering.running else "stopped", "requests": answering.inside}
        return JSONResponse(state, 200 if answering.running else 503)

    @app.get("/", summary="The model's tasks, and what is accepted")
    async def about() -> dict:
        return {
            "burst2vec": __version__,
            "tasks": {task.name: {"kind": task.kind, "labels": task.labels, "unit": task.unit} for task in tasks},
            "coverage": calibrated,
            "formats": ALLOWED,
            "seconds": [MIN_SAMPLES / SAMPLING_RATE, MAX_SAMPLES / SAMPLING_RATE],
            "max_megabytes": limits.max_megabytes,
        }

    clip = {"type": "string", "format": "binary"}
    form = {"schema": {"type": "object", "properties": {FIELD: clip}, "required": [FIELD]}}
    body = {"required": True, "content": {FORM: form, **{kind: {"schema": clip} for kind in BODIES}}}
    answers = {200: {"content": {"application/json": {"schema": answer_schema(tasks)}}}}
    answers |= {status: {"description": about} for status, about in REFUSALS.items()}

    @app.post("/predict", summary="What is in a clip", responses=answers, openapi_extra={"requestBody": body})
    async def predict(
        request: Request,
        coverage: Annotated[float | None, Query(description="such as 0.9, of a calibrated model")] = None,
        return_embedding: Annotated[bool, Query(description="also give the clip's vector")] = False,
    ) -> JSONResponse:
        try:
            with answering.place():
                asked = _arguments(answering, coverage, return_embedding)
                return JSONResponse(await _answer(answering, await read_upload(request, limits), asked))
        except TooManyError as error:
            detail = f"{limits.max_requests} requests are here already"
            raise HTTPException(503, detail, RETRY_AFTER) from error

    return app


def _arguments(answering: Answering, coverage: float | None, return_embedding: bool) -> dict:
    asked = {} if coverage is None else {"coverage": coverage}
    asked |= {"return_embedding": True} if return_embedding else {}
    try:
        return answering.arguments(**asked)
    except RunError as error:
        raise HTTPException(422, str(error), CLOSE) from error


async def _answer(answering: Answering, content: bytes, asked: dict) -> dict:
    try:
        return await answering.answer(content, asked)
    except CLIP_FAULTS as error:
        raise HTTPException(422, str(error)) from error
    except MissingPackageError as error:
        raise HTTPException(415, str(error)) from error
