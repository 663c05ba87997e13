"""A sampled batch that is not resumed: it expires, is cancelled, or is tried again."""

from datetime import timedelta

from app.models import Batch
from app.pipeline.control import cancel, resume
from app.pipeline.reconcile import reconcile
from app.pipeline.retry import retry
from tests.fakes.engine import Engine
from tests.integration.engine.test_flow import QUICK, batch_of
from tests.integration.engine.test_sample import FIVE, reason_of, sample_events, view_of


def test_a_batch_expires_while_its_sample_is_looked_at(engine: Engine) -> None:
    batch_id = engine.submit(FIVE, sample=2, params=QUICK)
    engine.drain()
    with engine.store.transaction() as tx:
        tx.get_one(Batch, batch_id).deadline = engine.store.now(tx) - timedelta(seconds=1)
    reconcile(engine.services)
    engine.drain()
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
    assert (batch.state, batch.jobs_succeeded, batch.jobs_expired) == ("expired", 2, 3)


def test_a_batch_cancelled_after_its_sample_keeps_what_it_has(engine: Engine) -> None:
    batch_id = engine.submit(FIVE, sample=2, params=QUICK)
    engine.drain()
    cancel(engine.services, engine.account_id, batch_id)
    engine.drain()
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
    assert (batch.state, batch.jobs_succeeded, batch.jobs_cancelled) == ("cancelled", 2, 3)


def test_a_retry_of_what_was_sampled_runs_the_rest_whole(engine: Engine) -> None:
    batch_id = engine.submit(FIVE, sample=2, params=QUICK)
    engine.drain()
    cancel(engine.services, engine.account_id, batch_id)
    engine.drain()
    again = retry(engine.services, engine.account_id, batch_id).batch_id
    engine.drain()
    view = view_of(engine, again)
    assert (view.state, view.sample, view.counts.jobs.succeeded) == ("completed", None, 3)


def test_a_retry_of_what_nobody_could_look_at_runs_its_sample_again(engine: Engine) -> None:
    batch_id = engine.submit(FIVE, sample=2, params=QUICK)
    cancel(engine.services, engine.account_id, batch_id)
    engine.drain()
    again = retry(engine.services, engine.account_id, batch_id).batch_id
    engine.drain()
    assert reason_of(engine, again) == "sample"
    assert view_of(engine, again).counts.jobs.succeeded == 2
    with engine.store.read() as session:
        assert sample_events(session) == 1


def test_a_retry_of_a_sample_s_failures_does_not_wait(engine: Engine) -> None:
    fault = {"extra": {"simulated": {"latency_ms": 0, "fault": {"status": 400}}}}
    batch_id = engine.submit(FIVE, sample=2, params=fault)
    engine.drain()
    resume(engine.services, engine.account_id, batch_id)
    engine.drain()
    again = retry(engine.services, engine.account_id, batch_id).batch_id
    engine.drain()
    assert view_of(engine, again).state == "completed"
