"""`overnight accounts`: an operator's, on this machine. They write to the store itself."""

from typing import Annotated, Any

import typer

from api.cli.api_keys import show_keys
from api.cli.failure import ExitCode, Failure
from api.cli.output import dollars, note, show_json, show_table

group = typer.Typer(
    help="Accounts, for the operator: create, list, show, limit, disable, audit.",
    no_args_is_help=True,
)

AccountId = Annotated[str, typer.Argument(help="Such as acct_…")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_LIMIT_HELP = "A number, none, or default for what the settings say."
_WORDS = {"default": None, "none": 0}


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="accounts")


@group.command("create")
def create_account(
    name: Annotated[str, typer.Argument(help="Whose it is.")], *, as_json: AsJson = False
) -> None:
    """Make an account and its first API key, which is shown this once.

    Example: overnight accounts create acme
    """
    from api.cli import accounts_store  # noqa: PLC0415 - only these commands need the store

    made = accounts_store.create(name)
    _show_secret(made, as_json=as_json)


@group.command("list")
def list_accounts(*, as_json: AsJson = False) -> None:
    """List accounts, oldest first.

    Example: overnight accounts list
    """
    from api.cli import accounts_store  # noqa: PLC0415 - as above

    found = accounts_store.accounts()
    if as_json:
        show_json(found)
        return
    rows = (
        (
            one["id"],
            one["name"],
            one["created_at"],
            "disabled" if one["disabled_at"] else "active",
            dollars(one["credits"]["available_nanos"]),
        )
        for one in found
    )
    columns = ("id", "name", "created", "state", "credits")
    show_table(columns, rows, right=("credits",), whole=("id",))


@group.command("show")
def show_account(account: AccountId, *, as_json: AsJson = False) -> None:
    """Show an account: its credits, limits, what it has of them, and its API keys.

    Example: overnight accounts show acct_…
    """
    from api.cli import accounts_store  # noqa: PLC0415 - as above

    found = accounts_store.account(account)
    if as_json:
        show_json(found)
        return
    state = f"disabled since {found['disabled_at']}" if found["disabled_at"] else "active"
    print(f"{found['id']}: {found['name']}, {state}")
    rows = [(name[: -len("_nanos")], dollars(nanos)) for name, nanos in found["credits"].items()]
    show_table(("credits", "amount"), rows, right=("amount",))
    limits, has = found["limits"], {**found["held"], "requests_per_minute": None}
    names = {
        "queued_jobs_max": "queued_jobs",
        "storage_bytes_max": "storage_bytes",
        "requests_per_minute": "requests_per_minute",
    }
    shown = [(has_name, has[has_name], limits[name]) for name, has_name in names.items()]
    show_table(("limited", "now", "at most"), shown, right=("now", "at most"))
    show_keys(found["api_keys"])


@group.command("limits")
def limit_account(
    account: AccountId,
    *,
    requests_per_minute: Annotated[str, typer.Option(help=_LIMIT_HELP)] = "default",
    queued_jobs: Annotated[str, typer.Option(help=_LIMIT_HELP)] = "default",
    storage_bytes: Annotated[str, typer.Option(help=_LIMIT_HELP)] = "default",
    as_json: AsJson = False,
) -> None:
    """Set an account's own limits, all of them: what is left out is as the settings say.

    Example: overnight accounts limits acct_… --queued-jobs 5000
    """
    from api.cli import accounts_store  # noqa: PLC0415 - as above

    limits = [limit_of(text) for text in (requests_per_minute, queued_jobs, storage_bytes)]
    in_force = accounts_store.limit(account, limits)
    if as_json:
        show_json(in_force)
        return
    show_table(("limited", "at most"), in_force.items(), right=("at most",))


@group.command("disable")
def disable_account(
    account: AccountId,
    *,
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel its batches, too.")] = False,
) -> None:
    """Refuse all of an account's API keys; what it submitted goes on, unless cancelled.

    Example: overnight accounts disable acct_… --cancel
    """
    from api.cli import accounts_store  # noqa: PLC0415 - as above

    cancelled = accounts_store.disable(account, cancel=cancel)
    print(f"{account}: disabled" + (f", {cancelled} batches cancelled" if cancel else ""))


@group.command("enable")
def enable_account(account: AccountId) -> None:
    """Let a disabled account in again.

    Example: overnight accounts enable acct_…
    """
    from api.cli import accounts_store  # noqa: PLC0415 - as above

    accounts_store.enable(account)
    print(f"{account}: enabled")


@group.command("api-key")
def make_api_key(
    account: AccountId,
    *,
    name: Annotated[str, typer.Option(help="What to know it by.")] = "operator",
    as_json: AsJson = False,
) -> None:
    """Make an API key with every scope for an account that has lost its own.

    Example: overnight accounts api-key acct_…
    """
    from api.cli import accounts_store  # noqa: PLC0415 - as above

    _show_secret(accounts_store.api_key(account, name), as_json=as_json)


@group.command("price")
def set_price(
    account: AccountId,
    model: Annotated[str, typer.Argument(help="Such as openai/gpt-5.2.")],
    *,
    input_usd: Annotated[
        str | None, typer.Option("--input", help="Dollars per million input tokens.")
    ] = None,
    output_usd: Annotated[
        str | None, typer.Option("--output", help="The same of output tokens.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="The list's price again.")] = False,
) -> None:
    """Set what a model costs an account that pays with credits, from its next batch on.

    Example: overnight accounts price acct_… openai/gpt-5.2 --input 2 --output 12
    """
    from api.cli import accounts_store  # noqa: PLC0415 - as above

    if remove != (input_usd is None) or remove != (output_usd is None):
        raise Failure("give --input and --output, or --remove", ExitCode.USAGE)
    accounts_store.price(account, model, input_usd, output_usd)
    print(f"{account}: {model} " + ("as listed" if remove else f"{input_usd} / {output_usd}"))


@group.command("audit")
def show_audit(
    account: Annotated[
        str | None, typer.Argument(help="Its id; all of the installation if left out.")
    ] = None,
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show who did what that matters for security, latest first.

    Example: overnight accounts audit acct_…
    """
    from api.cli import accounts_store  # noqa: PLC0415 - as above

    found = accounts_store.audit(account, limit)
    if as_json:
        show_json(found)
        return
    columns = ("at", "account", "who", "did", "on", "detail")
    rows = ([one[name] for name in ("created_at", "account_id", "actor", "action", "subject")] + [
        ", ".join(f"{key}={value}" for key, value in one["detail"].items())
    ] for one in found)  # fmt: skip
    show_table(columns, rows)


def limit_of(text: str) -> int | None:
    """A limit as it was typed: None for the default, 0 for none."""
    if text in _WORDS:
        return _WORDS[text]
    if not (text.isascii() and text.isdigit()) or int(text) == 0:
        raise Failure(f"{text!r} is no limit: a number, none or default", ExitCode.USAGE)
    return int(text)


def _show_secret(made: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(made)
        return
    print(made["secret"])
    note(f"{made['account_id']}: keep its API key now; it is not shown again")
