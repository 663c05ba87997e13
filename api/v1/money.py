"""Credits: the balance, and every movement of it."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.answers import answer, answers
from api.deps import Reader, WithServices
from api.v1.queries import TransactionsQuery
from api.views import CreditsView, TransactionPage, TransactionView
from app.billing.ledger import balance_of, transactions_of

router = APIRouter(prefix="/v1/credits", tags=["money"])


@router.get("", **answers(CreditsView))
def balance(principal: Reader, services: WithServices) -> Response:
    """The account's credits, in nanodollars."""
    with services.store.read() as session:
        found = balance_of(session, principal.account_id)
    return answer(CreditsView.of(found))


@router.get("/transactions", **answers(TransactionPage))
def transactions(
    principal: Reader, services: WithServices, query: Annotated[TransactionsQuery, Query()]
) -> Response:
    """Every movement of the account's credits, latest first."""
    with services.store.read() as session:
        entries = transactions_of(
            session, principal.account_id, after=query.after, limit=query.limit + 1
        )
    shown = [TransactionView.of(entry) for entry in entries[: query.limit]]
    more = shown[-1].id if len(entries) > query.limit else None
    return answer(TransactionPage(shown, more))
