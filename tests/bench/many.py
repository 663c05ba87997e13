"""Two worker processes, 100,000 calls in one run, and claims beside an old snapshot."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import sqlalchemy as sa

from app.domain.completion import Completion, FinishReason, Usage
from app.pipeline.backlog import due_backlog
from app.pipeline.dispatch import claim
from app.pipeline.outcomes import answered
from app.pipeline.plan import plan
from app.pipeline.record import record
from tests.bench.bars import (
    LATE_AT_MOST,
    OLD_SNAPSHOT_AT_MOST,
    RSS_GROWTH_AT_MOST,
    RSS_GROWTH_BYTES_AT_MOST,
    TWO_WORKERS_AT_LEAST,
    TWO_WORKERS_PER_S_AT_LEAST,
    Bar,
    note,
)
from tests.bench.harness import POSTGRESQL, Servers, System, system
from tests.bench.meters import cpu_s, median
from tests.bench.prompts import lines_of
from tests.servers import ServerError

OURS = "ours"
_SAMPLE_S = 0.1
_GROUP = 64


def measure_two(servers: Servers, calls: int, rounds: int) -> Iterator[Bar]:
    """Two worker processes with 1,024 in flight each, beside two raw clients."""
    ours_per_s, ratios = [], []
    with system(POSTGRESQL, servers, in_flight=1024, workers=2) as ours:
        account_id = ours.new_account(OURS)
        ours.run(account_id, OURS, 8192)
        for _ in range(rounds):
            run = ours.run(account_id, OURS, calls)
            raw = servers.provider.run_raw(1024, calls // 2, clients=2)
            note("two workers", ours=run.told(), raw=raw.told())
            ours_per_s.append(run.per_s)
            ratios.append(run.per_s / raw.per_s)
    name = "two_workers"
    yield Bar(f"{name}_per_s", median(ours_per_s), at_least=TWO_WORKERS_PER_S_AT_LEAST)
    yield Bar(f"{name}_of_raw", median(ratios), at_least=TWO_WORKERS_AT_LEAST)


@dataclass(frozen=True, slots=True)
class _Moment:
    """A look at a run under way."""

    answered: int
    at_s: float
    cpu_s: float
    rss_bytes: int


def measure_long(kind: str, servers: Servers, calls: int, rounds: int) -> Iterator[Bar]:
    """One long run: its last fifth beside an early one, and the worker's memory."""
    cpu_ratios, time_ratios, growths = [], [], []
    for _ in range(rounds):
        with system(kind, servers, in_flight=1024) as ours:
            moments = _watch(ours, calls)
        early, late = (0.1, 0.3), (0.8, 1.0)
        cpu_ratios.append(_spent(moments, calls, late, "cpu_s", early))
        time_ratios.append(_spent(moments, calls, late, "at_s", early))
        growths.append(_growth(moments, calls))
        note(f"{kind}, {calls} calls", cpu=cpu_ratios[-1], time=time_ratios[-1], rss=growths[-1])
    yield Bar(f"late_cpu_{kind}", median(cpu_ratios), at_most=LATE_AT_MOST)
    yield Bar(f"late_time_{kind}", median(time_ratios), at_most=LATE_AT_MOST)
    yield Bar(f"rss_growth_{kind}", median(growths), at_most=RSS_GROWTH_AT_MOST)


def _watch(ours: System, calls: int) -> Sequence[_Moment]:
    account_id = ours.new_account(OURS)
    ours.provider.forget(OURS)
    pids = [pid for group in ours.pids().values() for pid in group]
    worker = psutil.Process(ours.workers[0].pid)
    batch_id = ours.submit(account_id, lines_of(calls))
    moments: list[_Moment] = []
    deadline = time.monotonic() + 60 + calls / 100
    while not moments or moments[-1].answered < calls:
        if time.monotonic() > deadline:
            raise ServerError(f"the long run does not end:\n{ours.worker_log()}")
        _, came = ours.provider.count(OURS)
        spent = sum(map(cpu_s, pids))
        moments.append(_Moment(came, time.monotonic(), spent, worker.memory_info().rss))
        time.sleep(_SAMPLE_S)
    ours.wait_closed(batch_id, timeout_s=60)
    return moments


def _at(moments: Sequence[_Moment], answered: float) -> _Moment:
    return next(one for one in moments if one.answered >= answered)


def _spent(
    moments: Sequence[_Moment],
    calls: int,
    late: tuple[float, float],
    what: str,
    early: tuple[float, float],
) -> float:
    """What a call of a late part took, of what one of an early part did."""

    def each(part: tuple[float, float]) -> float:
        first, last = (_at(moments, calls * share) for share in part)
        taken: float = getattr(last, what) - getattr(first, what)
        return taken / (last.answered - first.answered)

    return each(late) / each(early)


def _growth(moments: Sequence[_Moment], calls: int) -> float:
    """How much the worker's memory grew after the first fifth; 0 if by no more than is granted."""
    before = _at(moments, calls / 5).rss_bytes
    most = max(one.rss_bytes for one in moments)
    return 0.0 if most - before <= RSS_GROWTH_BYTES_AT_MOST else most / before - 1


def measure_snapshot(servers: Servers, calls: int) -> Iterator[Bar]:
    """How long the last claims of many take while somebody's old snapshot keeps every version."""
    took_s = {}
    for is_old in (False, True):
        with system(POSTGRESQL, servers, workers=0) as ours:
            account_id = ours.new_account(OURS)
            with _snapshot(ours, is_open=is_old):
                took_s[is_old] = claims_s(ours, account_id, calls)
    note("a claim, without and with an old snapshot", ms=[1000 * one for one in took_s.values()])
    yield Bar("claim_old_snapshot", took_s[True] / took_s[False], at_most=OLD_SNAPSHOT_AT_MOST)


@contextmanager
def _snapshot(ours: System, *, is_open: bool) -> Iterator[None]:
    """A transaction of somebody else's that has read, and stays open."""
    if not is_open:
        yield
        return
    with ours.services.store.engine.connect().execution_options(
        isolation_level="REPEATABLE READ"
    ) as connection:
        connection.execute(sa.text("SELECT COUNT(*) FROM account"))
        yield


def claims_s(ours: System, account_id: str, calls: int) -> float:
    """The median time of a claim in the last third of so many calls, each answered at once."""
    services = ours.services
    worker_id = ours.new_worker()
    batch_id = ours.submit(account_id, lines_of(calls))
    plan(services, batch_id)
    took_s, mark = list[float](), 0
    while entries := due_backlog(services.store):
        began = time.perf_counter()
        got = claim(services, worker_id, entries[0], _GROUP, from_rank=mark)
        mark = got.mark
        took_s.append(time.perf_counter() - began)
        if not got.calls:
            break
        record(services, [answered(one.call, _ANSWER, 200) for one in got.calls])
    return median(took_s[-len(took_s) // 3 :])


_ANSWER = Completion(
    text="An answer of the length that answers have. " * 6,
    finish_reason=FinishReason.STOP,
    usage=Usage(input_tokens=120, output_tokens=48),
    model_returned="bench-1",
)
