"""The routes: health, the tasks, and labels for rows of a task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

import dawgen
from dawgen.errors import UserError
from dawgen.many.scores import YES
from dawgen.serving.batcher import Batcher
from dawgen.serving.body import WholeBodies
from dawgen.serving.limits import Limits, Refused
from dawgen.serving.tasks import ServedTask

_SHAPE = (
    '{"rows": [{"text": "..."}, ...]}, of a pair task {"rows": [{"text1": "...", "text2": "..."}]}'
)


class Rows(BaseModel):
    """Rows to label."""

    rows: list[str | list[Any] | dict[str, Any]] = Field(
        description="Texts, pairs of texts, or objects with text, or text1 and text2."
    )


class Labelled(BaseModel):
    """A row's answer: its label, or the labels of a task of several labels per text."""

    label: str | None = None
    labels: list[str] | None = None
    probabilities: dict[str, float]


class Answer(BaseModel):
    """The answers in the order of the rows."""

    task: str
    rows: list[Labelled]


def make_app(tasks: Mapping[str, ServedTask], limits: Limits | None = None) -> FastAPI:
    """An ASGI application that labels rows of these tasks."""
    limits = limits or Limits()
    batcher = Batcher(limits)

    @asynccontextmanager
    async def reading(app: FastAPI) -> AsyncIterator[None]:
        work = asyncio.create_task(batcher.run())
        yield
        work.cancel()  # by now each accepted request has been answered

    app = FastAPI(
        title="dawgen", version=dawgen.__version__, lifespan=reading, docs_url=None, redoc_url=None
    )
    app.add_middleware(WholeBodies, limits=limits, refuse=_refusal)
    for kind in (Refused, UserError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _on_error)
    listing = {"tasks": [task.about() for task in tasks.values()]}

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "tasks": len(tasks), "rows_waiting": batcher.waiting}

    @app.get("/tasks")
    async def list_tasks() -> dict[str, Any]:
        return listing

    @app.post("/tasks/{name}/predict", responses={200: {"model": Answer}})
    async def predict(name: str, asked: Rows) -> JSONResponse:
        task = _task(tasks, name)
        rows = task.as_rows(_checked(asked.rows, limits)) if asked.rows else []
        found: Any = await batcher.ask(task.choice, rows) if rows else []
        return JSONResponse({"task": name, "rows": [_labelled(task, row) for row in found]})

    return app


def _task(tasks: Mapping[str, ServedTask], name: str) -> ServedTask:
    if name not in tasks:
        raise Refused(404, "There is no task of that name; GET /tasks lists those that there are.")
    return tasks[name]


def _checked(rows: Sequence[Any], limits: Limits) -> Sequence[Any]:
    """The rows, where there are not too many and no text is too long."""
    if len(rows) > limits.rows:
        raise Refused(
            413,
            f"A request may have at most {limits.rows:,} rows, not {len(rows):,}; send several.",
        )
    for number, row in enumerate(rows, start=1):
        cells = [row] if isinstance(row, str) else row.values() if isinstance(row, dict) else row
        longest = max((len(cell) for cell in cells if isinstance(cell, str)), default=0)
        if longest > limits.characters:
            raise Refused(
                413,
                f"row {number}: a text may have at most {limits.characters:,} characters, not "
                f"{longest:,}; shorten it.",
            )
    return rows


def _labelled(task: ServedTask, chances: Any) -> dict[str, Any]:
    """A row's answer, in numbers as `dawgen predict` writes them."""
    values = [round(float(p), 6) for p in chances]
    probabilities = dict(zip(task.card.labels, values, strict=True))
    if task.card.takes_many:
        labels = [name for name, p in zip(task.card.labels, chances, strict=True) if p >= YES]
        return {"labels": labels, "probabilities": probabilities}
    return {"label": task.card.labels[int(chances.argmax())], "probabilities": probabilities}


def _refusal(error: Refused) -> JSONResponse:
    again = {"Retry-After": "1"} if error.status == 429 else None
    return JSONResponse({"error": error.message}, error.status, headers=again)


async def _on_error(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, Refused):
        return _refusal(error)
    if isinstance(error, UserError):
        return _refusal(Refused(422, str(error)))
    if isinstance(error, RequestValidationError):
        return _refusal(Refused(422, _in_words(error)))
    assert isinstance(error, HTTPException)
    message = {
        404: "There is no such address: GET /health, GET /tasks, POST /tasks/NAME/predict.",
        405: "That address does not take this method: rows are sent by POST.",
    }
    text = message.get(error.status_code, f"The request cannot be read: {error.detail}.")
    return JSONResponse({"error": text}, error.status_code, headers=error.headers)


def _in_words(error: RequestValidationError) -> str:
    """What is wrong with a body, without repeating any of it."""
    first = error.errors()[0]
    place = first["loc"]
    if len(place) > 2 and place[1] == "rows":
        return f"row {place[2] + 1}: a row is a text, a pair of texts, or an object of texts."
    if first["type"] == "json_invalid":
        return f"The body is no JSON; send {_SHAPE}."
    return f"Send JSON (Content-Type: application/json) such as {_SHAPE}."
