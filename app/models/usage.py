"""What was used, added up: read for usage reports instead of every call."""

from sqlalchemy import Index
from sqlmodel import Field

from app.models.base import Id, LongText, Nanos, Table, Word


class UsageRollup(Table, table=True):
    """A closed batch's calls of one model in one role on one day, added up once.

    Written with the batch's close, in its transaction, and never changed. Outlives the batch's
    text, and names nobody.
    """

    __tablename__ = "usage_rollup"
    __table_args__ = (Index("ix_usage_rollup_account", "account_id", "day"),)

    batch_id: str = Field(sa_type=Id, primary_key=True)
    day: str = Field(sa_type=Word, primary_key=True)  # in UTC, on which the calls closed
    provider: str = Field(sa_type=Word, primary_key=True)
    model: str = Field(sa_type=LongText, primary_key=True)
    role: str = Field(sa_type=Word, primary_key=True)
    billed: str = Field(sa_type=Word, primary_key=True)
    account_id: str = Field(sa_type=Id)
    mode: str = Field(sa_type=Word)

    calls: int = Field(sa_type=Nanos)
    succeeded: int = Field(sa_type=Nanos)
    refused: int = Field(sa_type=Nanos)
    failed: int = Field(sa_type=Nanos)
    cancelled: int = Field(sa_type=Nanos)
    expired: int = Field(sa_type=Nanos)
    input_tokens: int = Field(sa_type=Nanos)
    cache_read_tokens: int = Field(sa_type=Nanos)
    cache_write_tokens: int = Field(sa_type=Nanos)
    output_tokens: int = Field(sa_type=Nanos)
    reasoning_tokens: int = Field(sa_type=Nanos)
    cost_nanos: int = Field(sa_type=Nanos)  # of those with a known price
    unpriced: int = Field(sa_type=Nanos)  # completions without one
    errors: str = Field(sa_type=LongText)  # JSON: how many calls failed, by reason
    latencies: str = Field(sa_type=LongText)  # JSON: how many completions, by bucket
