"""`overnight watch`: a batch's progress, live, until it ends."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from api.cli.client import Client, connect
from api.cli.failure import ExitCode, Failure
from api.cli.output import about_dollars, console, dollars, note, show_json, span

Batch = dict[str, Any]

CLOSED = frozenset({"completed", "failed", "expired", "cancelled"})
#: How a command ends that watched a batch which did not complete.
_CODES = {
    "failed": ExitCode.FAILED,
    "expired": ExitCode.EXPIRED,
    "cancelled": ExitCode.CANCELLED,
}
POLL_S = 0.5
#: A batch that takes the night need not be asked about twice a second.
POLL_LATER_S = 2.0
_LATER_AFTER_S = 120.0
#: Without a terminal, a line says that it goes on though no job was closed.
_LINES_EVERY_S = 10.0
#: An API that restarts meanwhile is waited for.
_UNREACHABLE_MAX_S = 60.0


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(watch)


def watch(
    batch_id: Annotated[str, typer.Argument(metavar="BATCH")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="End with the batch as JSON.")] = False,
) -> None:
    """Watch a batch until it ends, or until its sample is done.

    Ends with 0 if it completed and no job failed, 5 if some did, 1 if the batch failed, 6 if it
    expired, 7 if it was cancelled.

    Example: overnight watch batch_01m8ac --json
    """
    with connect() as client:
        end_with(follow(client, batch_id), as_json=as_json)


def _rests(batch: Batch) -> bool:
    """Whether nothing more comes of itself: it is closed, or waits for who looks at its sample."""
    return batch["state"] in CLOSED or (batch["waiting_on"] or {}).get("reason") == "sample"


def follow(client: Client, batch_id: str, sleep: Callable[[float], None] = time.sleep) -> Batch:
    """Show a batch's progress until it is closed, or its sample done; the batch as it is then."""
    started = time.monotonic()
    batch: Batch = client.get(f"/v1/batches/{batch_id}")
    with _view() as show:
        show(batch)
        while not _rests(batch):
            is_late = time.monotonic() - started > _LATER_AFTER_S
            sleep(POLL_LATER_S if is_late else POLL_S)
            batch = _get(client, batch_id, sleep)
            show(batch)
    return batch


def end_with(batch: Batch, *, as_json: bool) -> None:
    """Print a batch that was followed to its end, and fail unless all went well.

    Raises:
        Failure: it did not complete, or jobs of it failed; with the exit code that says which.
    """
    if as_json:
        show_json(batch)
    elif batch["state"] in CLOSED:
        print(summary_of(batch))
    else:
        print(f"{batch['id']}: {words_of(batch)}")
    if batch["state"] in _CODES:
        why = f" ({batch['ending']})" if batch["ending"] else ""
        raise Failure(f"{batch['id']} is {batch['state']}{why}", _CODES[batch["state"]])
    if failed := batch["counts"]["jobs"]["failed"]:
        raise Failure(
            f"{failed} of its jobs failed: `overnight results {batch['id']}` says why, and "
            f"`overnight retry {batch['id']}` runs them again",
            ExitCode.JOBS_FAILED,
        )


def summary_of(batch: Batch) -> str:
    """A closed batch in one line."""
    jobs = batch["counts"]["jobs"]
    ends = [
        f"{jobs[end]} {end}" for end in ("succeeded", "failed", "cancelled", "expired") if jobs[end]
    ]
    return (
        f"{batch['id']} {batch['state']}: {', '.join(ends) or 'no job'} of {jobs['total']} jobs, "
        f"{batch['counts']['calls']['closed']} calls, {cost_of(batch)}"
    )


def cost_of(batch: Batch) -> str:
    """What a batch has cost so far; calls without a known price are not taken for free."""
    spent, unpriced = batch["cost"]["spent_nanos"], batch["cost"]["unpriced_calls"]
    if unpriced == 0:
        return dollars(spent)
    if spent == 0:
        return "cost unknown"
    return f"{dollars(spent)} and {unpriced} calls without a price"


def words_of(batch: Batch) -> str:
    """How far a batch is, in a few words."""
    calls, eta_s = batch["counts"]["calls"], batch["eta_s"]
    is_running = batch["state"] == "running"
    parts = [] if is_running else [batch["state"]]
    cached = f", {calls['cached']} cached" if calls.get("cached") else ""
    parts.append(f"{calls['closed']}/{calls['total']} calls{cached}")
    cost = batch["cost"]
    if cost["spent_nanos"] or not cost["unpriced_calls"]:
        parts.append(about_dollars(cost["spent_nanos"]))
    failed = batch["counts"]["jobs"]["failed"]
    if failed:
        parts.append(f"{failed} jobs failed")
    waits = batch["waiting_on"]
    if waits:
        until = f" until {waits['until']}" if waits.get("until") else ""
        parts.append(f"waits: {_waits_for(batch)}{until}")
    elif batch.get("sample") is not None:
        left = "" if eta_s is None else f", about {span(eta_s)} left"
        parts.append(f"sample of {batch['sample']} jobs{left}")
    elif eta_s is not None and is_running:
        parts.append(f"about {span(eta_s)} left")
    return " · ".join(parts)


def _waits_for(batch: Batch) -> str:
    reason: str = batch["waiting_on"]["reason"]
    if reason == "sample":
        return f"the sample of {batch['sample']} jobs is done; `overnight resume {batch['id']}`"
    return reason.replace("_", " ")


def closed_jobs(batch: Batch) -> int:
    """How many jobs need no more work."""
    jobs = batch["counts"]["jobs"]
    return int(jobs["total"] - jobs["queued"] - jobs["running"])


def _get(client: Client, batch_id: str, sleep: Callable[[float], None]) -> Batch:
    """The batch; an API that was there a moment ago is waited for."""
    deadline = time.monotonic() + _UNREACHABLE_MAX_S
    while True:
        try:
            batch: Batch = client.get(f"/v1/batches/{batch_id}")
        except Failure as failure:
            if failure.code != ExitCode.UNREACHABLE or time.monotonic() > deadline:
                raise
            sleep(POLL_LATER_S)
        else:
            return batch


@contextmanager
def _view() -> Iterator[Callable[[Batch], None]]:
    """What shows progress: a bar on a terminal, otherwise a line whenever it changes."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield _lines()
        return
    columns = (
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TextColumn("jobs · {task.description}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=screen) as progress:
        task = progress.add_task("", total=None, visible=False)

        def show(batch: Batch) -> None:
            progress.update(
                task,
                total=batch["counts"]["jobs"]["total"],
                completed=closed_jobs(batch),
                description=words_of(batch),
                visible=True,
            )

        yield show


def _lines() -> Callable[[Batch], None]:
    told: tuple[object, ...] = ()
    told_at = 0.0

    def show(batch: Batch) -> None:
        nonlocal told, told_at
        now = time.monotonic()
        news = (batch["state"], closed_jobs(batch), (batch["waiting_on"] or {}).get("reason"))
        if news != told or now - told_at > _LINES_EVERY_S:
            total = batch["counts"]["jobs"]["total"]
            note(f"{closed_jobs(batch)}/{total} jobs · {words_of(batch)}")
            told, told_at = news, now

    return show
