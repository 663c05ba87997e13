"""Views of what belongs to an account itself: its audit log."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from app.models import AuditEntry


class AuditView(msgspec.Struct, frozen=True):
    """One action: the actor is an API key's id, "operator" or "system"."""

    id: str
    actor: str
    action: str
    subject: str | None
    detail: dict[str, Any]
    created_at: datetime

    @classmethod
    def of(cls, entry: AuditEntry) -> "AuditView":
        """The view of an entry."""
        detail = msgspec.json.decode(entry.detail) if entry.detail else {}
        return cls(entry.id, entry.actor, entry.action, entry.subject, detail, entry.created_at)


class AuditPage(msgspec.Struct, frozen=True):
    """Actions, latest first. `next` is the `after` of the next page; null at the end."""

    data: list[AuditView]
    next: str | None
    object: Literal["list"] = "list"
