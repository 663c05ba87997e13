"""`overnight credits`: what calls with the operator's own keys are paid from."""

import uuid
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.failure import ExitCode, Failure

if TYPE_CHECKING:
    from app.db import Store

app = typer.Typer(help="Credits: show the balance, grant some.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_CREDITS_PER_DOLLAR = 100


@app.command("show")
def show_credits(*, as_json: AsJson = False) -> None:
    """Show the account's credits."""
    from api.cli.client import connect
    from api.cli.output import dollars, show_json, show_table

    with connect() as client:
        balance = client.get("/v1/credits")
    if as_json:
        show_json(balance)
        return
    names = ("granted", "available", "held", "spent", "overrun")
    rows = [(name, dollars(balance[f"{name}_nanos"])) for name in names]
    show_table(("credits", "amount"), rows, right=("amount",))


@app.command("grant")
def grant_credits(
    *,
    usd: Annotated[str | None, typer.Option(help="An amount in dollars.")] = None,
    credits_: Annotated[
        str | None, typer.Option("--credits", help="The same in credits, of $0.01 each.")
    ] = None,
    account: Annotated[
        str | None, typer.Option(help="The account's id; by default the local account.")
    ] = None,
    note: Annotated[str | None, typer.Option(help="What for; kept in the ledger.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="The same key grants once.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Grant an account credits. It writes to the store itself: for the operator, on this machine."""
    from contextlib import closing

    from api.cli.output import dollars, show_json
    from app.billing import ledger
    from app.db import Store
    from app.migrations import check_schema
    from app.settings import load_settings

    amount = amount_nanos(usd, credits_)
    settings = load_settings()
    with closing(Store(settings.store_url)) as store:
        check_schema(store.engine)
        account_id = account or _local_account(store)
        with store.transaction() as tx:
            key = idempotency_key or str(uuid.uuid4())
            made = ledger.grant(tx, store, account_id, amount, idempotency_key=key, note=note)
        with store.read() as session:
            available = ledger.balance_of(session, account_id).available_nanos
    if as_json:
        show_json(
            {
                "account_id": account_id,
                "granted_nanos": amount,
                "was_new": made,
                "available_nanos": available,
            }
        )
        return
    said = "granted" if made else "granted before, with the same key,"
    print(f"{account_id}: {said} {dollars(amount)}; {dollars(available)} available")


def amount_nanos(usd: str | None, credits_: str | None) -> int:
    """The amount, exactly as it was typed."""
    from app.domain.money import dollars_to_nanos

    if (usd is None) == (credits_ is None):
        raise Failure("say how much: either --usd or --credits", ExitCode.USAGE)
    try:
        amount = Decimal(usd) if usd is not None else Decimal(credits_ or "") / _CREDITS_PER_DOLLAR
        nanos = dollars_to_nanos(amount)
    except (InvalidOperation, ValueError):
        raise Failure("that is not an amount", ExitCode.USAGE) from None
    if nanos <= 0:
        raise Failure("an amount is more than nothing", ExitCode.USAGE)
    return nanos


def _local_account(store: "Store") -> str:
    from app.accounts.accounts import first_account_id

    with store.read() as session:
        account_id = first_account_id(session)
    if account_id is None:
        raise Failure("there is no account yet: `overnight up` makes the local one")
    return account_id
