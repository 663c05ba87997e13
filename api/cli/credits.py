"""`overnight credits`: what calls with the operator's own keys are paid from."""

from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer

from api.cli.client import connect
from api.cli.failure import ExitCode, Failure
from api.cli.output import dollars, show_json, show_table
from app.domain.money import dollars_to_nanos

group = typer.Typer(
    help="Credits: show the balance; for the operator, grant, adjust and refund.",
    no_args_is_help=True,
)

Account = Annotated[
    str | None, typer.Option(help="The account's id; by default the local account.")
]
Why = Annotated[str, typer.Option(help="Why; kept in the ledger.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_CREDITS_PER_DOLLAR = 100


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="credits")


@group.command("show")
def show_credits(*, as_json: AsJson = False) -> None:
    """Show the account's credits.

    Example: overnight credits show
    """
    with connect() as client:
        balance = client.get("/v1/credits")
    if as_json:
        show_json(balance)
        return
    names = ("granted", "available", "held", "spent", "overrun")
    rows = [(name, dollars(balance[f"{name}_nanos"])) for name in names]
    show_table(("credits", "amount"), rows, right=("amount",))


@group.command("grant")
def grant_credits(
    *,
    usd: Annotated[str | None, typer.Option(help="An amount in dollars.")] = None,
    credits_: Annotated[
        str | None, typer.Option("--credits", help="The same in credits, of $0.01 each.")
    ] = None,
    account: Account = None,
    note: Annotated[str | None, typer.Option(help="What for; kept in the ledger.")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="The same key grants once.")] = None,
    as_json: AsJson = False,
) -> None:
    """Grant an account credits.

    It writes to the store itself: for the operator, on this machine.

    Example: overnight credits grant --usd 25 --note welcome
    """
    from api.cli.grant import grant  # noqa: PLC0415 - only this command needs the store

    amount = amount_nanos(usd, credits_)
    granted = grant(amount, account_id=account, note=note, idempotency_key=idempotency_key)
    if as_json:
        show_json(granted)
        return
    said = "granted" if granted["was_new"] else "granted before, with the same key:"
    available = dollars(granted["available_nanos"])
    print(f"{granted['account_id']}: {said} {dollars(amount)}; {available} available")


@group.command("adjust")
def adjust_credits(
    *,
    usd: Annotated[str, typer.Option(help="Dollars more, or with a minus less: --usd=-5.")],
    note: Why,
    account: Account = None,
    idempotency_key: Annotated[str | None, typer.Option(help="The same key adjusts once.")] = None,
    as_json: AsJson = False,
) -> None:
    """Correct what an account was granted, by an entry of its own: the ledger only grows.

    Example: overnight credits adjust --usd=-5 --note 'granted twice'
    """
    from api.cli.grant import adjust  # noqa: PLC0415 - as above

    less = usd.startswith("-")
    amount = amount_nanos(usd.removeprefix("-"), None)
    adjusted = adjust(
        -amount if less else amount, account_id=account, note=note, idempotency_key=idempotency_key
    )
    if as_json:
        show_json(adjusted)
        return
    said = "adjusted" if adjusted["was_new"] else "adjusted before, with the same key:"
    available = dollars(adjusted["available_nanos"])
    print(f"{adjusted['account_id']}: {said} by {usd} dollars; {available} available")


@group.command("refund")
def refund_credits(
    call: Annotated[str, typer.Argument(help="The call's id, call_…")],
    *,
    note: Why,
    as_json: AsJson = False,
) -> None:
    """Give back all that a call was charged, once, by a reversing entry.

    Example: overnight credits refund call_… --note 'empty answer'
    """
    from api.cli.grant import refund  # noqa: PLC0415 - as above

    refunded = refund(call, note=note)
    if as_json:
        show_json(refunded)
        return
    amount, available = dollars(refunded["refunded_nanos"]), dollars(refunded["available_nanos"])
    print(f"{refunded['account_id']}: refunded {amount}; {available} available")


def amount_nanos(usd: str | None, credits_: str | None) -> int:
    """The amount, exactly as it was typed."""
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
