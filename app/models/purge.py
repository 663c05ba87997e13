"""Purges: an account's content being deleted, and what that came to."""

from datetime import datetime

from sqlmodel import Field

from app.models.base import Id, LongText, Table, UTCDateTime


class Purge(Table, table=True):
    """One purge, and its receipt. It outlives what it deleted, and names nobody."""

    __tablename__ = "purge"

    id: str = Field(sa_type=Id, primary_key=True)
    account_id: str = Field(sa_type=Id, index=True)
    deletes_account: bool = False
    # The batch whose row is gone already, and whose jobs are being deleted.
    batch_id: str | None = Field(default=None, sa_type=Id)
    counts: str = Field(sa_type=LongText)  # JSON: how many were deleted, by kind
    created_at: datetime = Field(sa_type=UTCDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
