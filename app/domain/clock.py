"""The one clock of this process. Leases and due times use the store's clock instead."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)
