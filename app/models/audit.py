"""The audit log: who did what to what that matters for security, written once."""

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field

from app.models.base import Id, LongText, Table, UTCDateTime, Word


class AuditEntry(Table, table=True):
    """One action. No foreign keys, no names and no secrets: entries outlive what they name.

    Triggers refuse to change or delete one.
    """

    __tablename__ = "audit_entry"
    __table_args__ = (Index("ix_audit_entry_account", "account_id", "id"),)

    id: str = Field(sa_type=Id, primary_key=True)
    account_id: str | None = Field(default=None, sa_type=Id)  # None: of the whole installation
    actor: str = Field(sa_type=Id)  # an API key's id, "operator" or "system"
    action: str = Field(sa_type=Word)
    subject: str | None = Field(default=None, sa_type=Word)
    detail: str | None = Field(default=None, sa_type=LongText)  # JSON
    created_at: datetime = Field(sa_type=UTCDateTime)
