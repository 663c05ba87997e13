"""An account's files, by the page."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, or_, select

from app.db import Store
from app.models import InputFile


@dataclass(frozen=True, slots=True)
class FilePage:
    """Which files are wanted: those after the file `after`, in an order."""

    after: str | None = None
    limit: int = 10_000
    newest_first: bool = True
    purpose: str | None = None


def list_files(
    session: Session, account_id: str, page: FilePage
) -> tuple[Sequence[InputFile], bool]:
    """A page of the account's files, and whether there are more.

    Ids are sorted by time, so that the order of the ids is the order of the uploads.
    """
    statement = select(InputFile).where(
        InputFile.account_id == account_id,
        or_(col(InputFile.expires_at).is_(None), col(InputFile.expires_at) > Store.now(session)),
    )
    if page.purpose is not None:
        statement = statement.where(InputFile.purpose == page.purpose)
    id_ = col(InputFile.id)
    if page.after is not None:
        statement = statement.where(id_ < page.after if page.newest_first else id_ > page.after)
    statement = statement.order_by(id_.desc() if page.newest_first else id_)
    rows = session.exec(statement.limit(page.limit + 1)).all()
    return rows[: page.limit], len(rows) > page.limit
