"""The laws of the data, by name: what must be true of the store at any moment between commits.

Each is a query for what breaks it. They read whole tables: for tests, the doctor, and a check
now and then, not for the hot path.
"""

from sqlmodel import Session

from app.billing.laws import Violation, check_money
from app.db import Store

#: By their numbers in the design.
_LAWS = {
    (3, "a closed batch has no open job"): """
        SELECT batch.id FROM batch JOIN job ON job.batch_id = batch.id
        WHERE batch.closed_at IS NOT NULL AND job.state IN ('queued', 'running')""",
    (3, "a closed job has no open call"): """
        SELECT job.id FROM job JOIN call ON call.job_id = job.id
        WHERE job.state NOT IN ('queued', 'running') AND call.state IN ('queued', 'sending')""",
    (3, "a job's countdown is how many of its calls are open"): """
        SELECT job.id FROM job LEFT JOIN call
          ON call.job_id = job.id AND call.state IN ('queued', 'sending')
        GROUP BY job.id, job.outstanding HAVING COUNT(call.id) <> job.outstanding""",
    (4, "a call has a completion if and only if it succeeded or was refused"): """
        SELECT call.id FROM call LEFT JOIN completion ON completion.call_id = call.id
        WHERE (completion.call_id IS NOT NULL) <> (call.state IN ('succeeded', 'refused'))""",
    (4, "an answer that was used again cost nothing, and its call was never sent"): """
        SELECT call.id FROM usage JOIN call ON call.id = usage.call_id
        WHERE usage.billed = 'cached' AND (usage.cost_nanos IS NULL OR usage.cost_nanos <> 0
          OR usage.input_tokens + usage.output_tokens <> 0 OR call.epoch <> 0)""",
    (5, "batch counters equal the counts of its jobs by state"): """
        SELECT batch.id FROM batch JOIN job ON job.batch_id = batch.id
        GROUP BY batch.id, batch.jobs_total, batch.jobs_succeeded, batch.jobs_failed,
                 batch.jobs_cancelled, batch.jobs_expired, batch.jobs_queued
        HAVING COUNT(*) <> batch.jobs_total
          OR SUM(CASE WHEN job.state = 'queued' THEN 1 ELSE 0 END) <> batch.jobs_queued
          OR SUM(CASE WHEN job.state = 'succeeded' THEN 1 ELSE 0 END) <> batch.jobs_succeeded
          OR SUM(CASE WHEN job.state = 'failed' THEN 1 ELSE 0 END) <> batch.jobs_failed
          OR SUM(CASE WHEN job.state = 'cancelled' THEN 1 ELSE 0 END) <> batch.jobs_cancelled
          OR SUM(CASE WHEN job.state = 'expired' THEN 1 ELSE 0 END) <> batch.jobs_expired""",
    (5, "the queued jobs of a batch are its last"): """
        SELECT job.id FROM batch JOIN job ON job.batch_id = batch.id
        WHERE batch.ending IS NULL
          AND (job.state = 'queued') <> (job.position >= batch.jobs_total - batch.jobs_queued)""",
    (5, "a job's id says its batch and its position"): """
        SELECT id FROM (
          SELECT id, batch_id, position,
            LAG(position) OVER (PARTITION BY batch_id ORDER BY id) AS before FROM job) AS placed
        WHERE before >= position OR substr(id, 5, 26) <> substr(batch_id, 7)""",
    (5, "batch counters equal the counts of its calls"): """
        SELECT batch.id FROM batch LEFT JOIN call ON call.batch_id = batch.id
        GROUP BY batch.id, batch.calls_total, batch.calls_closed
        HAVING COUNT(call.id) <> batch.calls_total
          OR SUM(CASE WHEN call.state IN ('queued', 'sending') OR call.id IS NULL
                      THEN 0 ELSE 1 END) <> batch.calls_closed""",
    (5, "a batch counts the earlier answers that its calls took"): """
        SELECT batch.id FROM batch LEFT JOIN usage
          ON usage.batch_id = batch.id AND usage.billed = 'cached'
        GROUP BY batch.id, batch.calls_cached HAVING COUNT(usage.call_id) <> batch.calls_cached""",
    (5, "no job after a sample is planned"): """
        SELECT job.id FROM batch JOIN job ON job.batch_id = batch.id
        WHERE job.position >= batch.sample AND job.round > 0""",
    (6, "a call is sending if and only if a worker holds it"): """
        SELECT id FROM call WHERE (state = 'sending') <> (worker_id IS NOT NULL)""",
    (6, "a call in sending has one open attempt, and no other call has any"): """
        SELECT call.id FROM call LEFT JOIN attempt
          ON attempt.call_id = call.id AND attempt.state = 'sending'
        GROUP BY call.id, call.state
        HAVING COUNT(attempt.epoch) <> (CASE WHEN call.state = 'sending' THEN 1 ELSE 0 END)""",
    (6, "every queued call is announced in the backlog"): """
        SELECT call.id FROM call LEFT JOIN backlog ON backlog.lane_id = call.lane_id
          AND backlog.model = call.model AND backlog.batch_id = call.batch_id
        WHERE call.state = 'queued' AND backlog.lane_id IS NULL""",
    (7, "every event of a batch has a delivery for every endpoint of the batch that wants it"): """
        SELECT endpoint.id FROM endpoint JOIN event ON event.batch_id = endpoint.batch_id
          AND endpoint.event_types LIKE '%"' || event.type || '"%'
        LEFT JOIN delivery ON delivery.event_id = event.id AND delivery.endpoint_id = endpoint.id
        WHERE delivery.id IS NULL AND endpoint.deleted_at IS NULL
          AND endpoint.disabled_at IS NULL AND endpoint.updated_at = endpoint.created_at""",
    # Within seconds of a change, an event may be of a transaction that did not see it.
    (7, "every event has a delivery for every endpoint of its account that subscribed"): """
        SELECT endpoint.id FROM endpoint JOIN event ON event.account_id = endpoint.account_id
          AND endpoint.event_types LIKE '%"' || event.type || '"%'
        LEFT JOIN batch ON batch.id = event.batch_id
        LEFT JOIN delivery ON delivery.event_id = event.id AND delivery.endpoint_id = endpoint.id
        WHERE endpoint.batch_id IS NULL AND delivery.id IS NULL AND endpoint.deleted_at IS NULL
          AND endpoint.disabled_at IS NULL AND COALESCE(batch.interactive, false) = false
          AND {age_s(endpoint.updated_at)} - {age_s(event.created_at)} > 10""",
    (7, "every closed batch has said so"): """
        SELECT batch.id FROM batch LEFT JOIN event
          ON event.batch_id = batch.id AND event.type = 'batch.' || batch.state
        WHERE batch.closed_at IS NOT NULL AND event.id IS NULL AND NOT batch.interactive""",
}
_LOST = """
SELECT call.id FROM call LEFT JOIN worker ON worker.id = call.worker_id
WHERE call.worker_id IS NOT NULL
  AND (worker.id IS NULL OR {age_s(worker.lease_until)} > :late_s)
"""
#: What reconcile may take at most, after a lease has passed, to give calls back.
_LATE_S = 30.0
_SHOWN = 20


def check_laws(session: Session, store: Store) -> list[Violation]:
    """Every law that is broken, with examples; an empty list is what one hopes for."""
    found = list(check_money(session, store))
    connection = session.connection()
    for (law, name), query in _LAWS.items():
        statement = store.sql(f"{query} LIMIT {_SHOWN}")
        found += [Violation(law, name, str(row[0]), "") for row in connection.execute(statement)]
    lost = connection.execute(store.sql(_LOST), {"late_s": _LATE_S})
    name = "no call stays in sending under a worker whose lease has passed"
    return found + [Violation(6, name, str(row[0]), "") for row in lost]
