"""Commands on batches that are there: list, cancel, retry, pause, resume."""

from typing import Annotated, Any

import typer

from api.cli.client import connect
from api.cli.failure import ExitCode, Failure
from api.cli.output import dollars, note, show_json, show_table
from api.cli.watch import closed_jobs, words_of

BatchId = Annotated[str, typer.Argument(metavar="BATCH")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (batches, cancel, retry, pause, resume):
        app.command()(command)


def batches(
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 20,
    name: Annotated[str | None, typer.Option(help="Only those called so.")] = None,
    state: Annotated[
        list[str] | None, typer.Option(help="Only those in this state; repeat it for others.")
    ] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Only those with this pair; repeat it for more."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List batches, newest first.

    Example: overnight batches --state running --metadata team=search
    """
    pairs = dict(_pair(text) for text in metadata or ())
    with connect() as client:
        found = list(client.pages("/v1/batches", limit, name=name, state=state or None, **pairs))
    if as_json:
        show_json(found)
        return
    rows = (
        (
            batch["id"],
            batch["name"],
            "paused" if batch["paused"] else batch["state"],
            f"{closed_jobs(batch)}/{batch['counts']['jobs']['total']}",
            dollars(batch["cost"]["spent_nanos"]),
            batch["created_at"][5:16].replace("T", " "),
        )
        for batch in found
    )
    columns = ("batch", "name", "state", "jobs", "spent", "at (UTC)")
    show_table(columns, rows, right=("jobs", "spent"), whole=("batch", "at (UTC)"))


def _pair(text: str) -> tuple[str, str]:
    name, is_pair, value = text.partition("=")
    if not is_pair or not name:
        raise Failure(f"--metadata {text}: write it as NAME=VALUE", ExitCode.USAGE)
    return f"metadata[{name}]", value


def cancel(batch_id: BatchId, *, as_json: AsJson = False) -> None:
    """End a batch early.

    What has not started is not started; what is in flight is written down and paid for.

    Example: overnight cancel batch_01m8ac
    """
    _steer(batch_id, "cancel", as_json=as_json)


def pause(batch_id: BatchId, *, as_json: AsJson = False) -> None:
    """Hold a batch until it is resumed.

    Example: overnight pause batch_01m8ac
    """
    _steer(batch_id, "pause", as_json=as_json)


def resume(batch_id: BatchId, *, as_json: AsJson = False) -> None:
    """Go on with a batch that was paused, or whose sample is done.

    Example: overnight resume batch_01m8ac
    """
    _steer(batch_id, "resume", as_json=as_json)


def retry(batch_id: BatchId, *, as_json: AsJson = False) -> None:
    """Submit what failed or is missing again.

    A new batch of those jobs of a closed one.

    Example: overnight retry batch_01m8ac
    """
    made = _post(batch_id, "retry")
    if as_json:
        _show(made)
    else:
        print(made["id"])
        note(f"{made['counts']['jobs']['total']} jobs; `overnight watch {made['id']}`")


def _steer(batch_id: str, what: str, *, as_json: bool) -> None:
    batch = _post(batch_id, what)
    if as_json:
        _show(batch)
    else:
        print(f"{batch['id']}: {'paused · ' if batch['paused'] else ''}{words_of(batch)}")


def _post(batch_id: str, what: str) -> dict[str, Any]:
    with connect() as client:
        batch: dict[str, Any] = client.post(f"/v1/batches/{batch_id}/{what}")
    return batch


def _show(batch: dict[str, Any]) -> None:
    show_json(batch)
