"""What OpenAI's clients read, in their own fields (openai-python 3.54.0, `openai.types`)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

import msgspec
from fastapi import Response

from app.models import InputFile
from app.reports.openai_batches import BatchObject

_Item = TypeVar("_Item")


def told(view: type | None) -> dict[str, Any]:
    """What a route's decorator is told of its answers, for the documentation."""
    content = {} if view is None else {"application/json": {"schema": {"type": "object"}}}
    problem = {
        "description": "An error",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/OpenAIError"}}},
    }
    name = "bytes" if view is None else view.__name__
    return {
        "response_class": Response,
        "responses": {
            200: {"description": f"OpenAI's {name}", "content": content},
            "4XX": problem,
            "5XX": problem,
        },
    }


def told_body(answered: str, streamed: str | None = None) -> dict[str, Any]:
    """The same of a route that takes a body which FastAPI does not see."""
    made = told(None)
    content = {"application/json": {"schema": {"type": "object"}}}
    also = {} if streamed is None else {"text/event-stream": {"schema": {"type": "string"}}}
    made["responses"][200] = {
        "description": f"OpenAI's {answered}" + (f", or {streamed}s" if streamed else ""),
        "content": {**content, **also},
    }
    made["openapi_extra"] = {"requestBody": {"required": True, "content": content}}
    return made


def seconds(moment: datetime | None) -> int | None:
    """A moment in Unix seconds."""
    return None if moment is None else int(moment.timestamp())


class FileObject(msgspec.Struct, frozen=True, kw_only=True):
    """`openai.types.FileObject`."""

    id: str
    bytes: int
    created_at: int
    filename: str
    purpose: str
    expires_at: int | None
    status: Literal["processed"] = "processed"
    status_details: None = None
    object: Literal["file"] = "file"

    @classmethod
    def of(cls, row: InputFile) -> "FileObject":
        """The view of a file."""
        return cls(
            id=row.id,
            bytes=row.bytes,
            created_at=int(row.created_at.timestamp()),
            filename=row.filename,
            purpose=row.purpose,
            expires_at=seconds(row.expires_at),
        )


class DeletedFile(msgspec.Struct, frozen=True):
    """`openai.types.FileDeleted`."""

    id: str
    deleted: Literal[True] = True
    object: Literal["file"] = "file"


class _Listed(msgspec.Struct, Generic[_Item], frozen=True):
    """A page of OpenAI's cursor pagination (`openai.pagination.SyncCursorPage`)."""

    data: list[_Item]
    has_more: bool
    first_id: str | None
    last_id: str | None
    object: Literal["list"] = "list"

    @classmethod
    def of(cls, data: Sequence[Any], *, has_more: bool) -> "_Listed[_Item]":
        """A page of what was found."""
        first, last = (data[0].id, data[-1].id) if data else (None, None)
        return cls(list(data), has_more, first, last)


class FileList(_Listed[FileObject], frozen=True):
    """Files, a page of them."""


class BatchList(_Listed[BatchObject], frozen=True):
    """Batches, a page of them."""
