"""the first schema

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

from app.models.base import UTCDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.String(length=64).with_variant(sa.String(length=64, collation="C"), "postgresql")
WORD = sa.String(length=100).with_variant(sa.String(length=100, collation="C"), "postgresql")
TIME = UTCDateTime(timezone=True)

#: What is only ever added to, and what is said of a change.
_APPEND_ONLY = {
    "ledger_entry": "ledger entries are never changed; write a reversing entry",
    "audit_entry": "audit entries are never changed",
}
_TRIGGERS = {
    "sqlite": [
        f"CREATE TRIGGER {table}_no_{action} BEFORE {action} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
        for table, refusal in _APPEND_ONLY.items()
        for action in ("update", "delete")
    ],
    "postgresql": [
        """CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION '%', TG_ARGV[0]; END $$""",
        *(
            f"""CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE
            ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('{refusal}')"""
            for table, refusal in _APPEND_ONLY.items()
        ),
    ],
}


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("granted_nanos", sa.BigInteger(), nullable=False),
        sa.Column("overrun_nanos", sa.BigInteger(), nullable=False),
        sa.Column("held_nanos", sa.BigInteger(), nullable=False),
        sa.Column("available_nanos", sa.BigInteger(), nullable=False),
        sa.Column("spent_nanos", sa.BigInteger(), nullable=False),
        sa.Column("data_key_wrapped", sa.Text(), nullable=False),
        sa.Column("data_key_kid", WORD, nullable=False),
        sa.Column("webhook_secret_sealed", sa.Text(), nullable=False),
        sa.Column("retention", WORD, nullable=False),
        sa.Column("seal", sa.Boolean(), nullable=False),
        sa.Column("retention_days", sa.Integer(), nullable=True),
        sa.Column("deleted_at", TIME, nullable=True),
        sa.CheckConstraint("retention IN ('keep', 'none')", name="ck_account_retention_known"),
        sa.Column("disabled_at", TIME, nullable=True),
        sa.Column("requests_per_minute", sa.BigInteger(), nullable=True),
        sa.Column("queued_jobs_max", sa.BigInteger(), nullable=True),
        sa.Column("storage_bytes_max", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "granted_nanos + overrun_nanos = held_nanos + available_nanos + spent_nanos",
            name="ck_account_balances",
        ),
        sa.CheckConstraint(
            "held_nanos >= 0 AND available_nanos >= 0", name="ck_account_not_negative"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_account"),
    )
    op.create_table(
        "own_price",
        sa.Column("account_id", ID, nullable=False),
        sa.Column("provider", WORD, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("billed", WORD, nullable=False),
        sa.Column("input_micros", sa.BigInteger(), nullable=False),
        sa.Column("output_micros", sa.BigInteger(), nullable=False),
        sa.Column("cache_read_micros", sa.BigInteger(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.CheckConstraint("billed IN ('byok', 'credits')", name="ck_own_price_billed_known"),
        sa.CheckConstraint(
            "input_micros >= 0 AND output_micros >= 0 AND cache_read_micros >= 0",
            name="ck_own_price_not_negative",
        ),
        sa.PrimaryKeyConstraint("account_id", "provider", "model", "billed", name="pk_own_price"),
    )
    op.create_table(
        "audit_entry",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=True),
        sa.Column("actor", ID, nullable=False),
        sa.Column("action", WORD, nullable=False),
        sa.Column("subject", WORD, nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_entry"),
    )
    op.create_index("ix_audit_entry_account", "audit_entry", ["account_id", "id"], unique=False)

    op.create_table(
        "backlog",
        sa.Column("lane_id", ID, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("wait_reason", WORD, nullable=True),
        sa.Column("waiting_since", TIME, nullable=True),
        sa.PrimaryKeyConstraint("lane_id", "model", "batch_id", name="pk_backlog"),
    )
    op.create_index("ix_backlog_batch_id", "backlog", ["batch_id"], unique=False)

    op.create_table(
        "event",
        sa.Column("id", ID, nullable=False),
        sa.Column("event_key", WORD, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("batch_id", ID, nullable=True),
        sa.Column("type", WORD, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_event"),
        sa.UniqueConstraint("event_key", name="uq_event_event_key"),
    )
    op.create_index("ix_event_account", "event", ["account_id", "created_at"], unique=False)
    op.create_index("ix_event_batch_id", "event", ["batch_id"], unique=False)

    op.create_table(
        "idempotency_key",
        sa.Column("account_id", ID, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body_sha256", WORD, nullable=False),
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "key", name="pk_idempotency_key"),
    )
    op.create_index(
        "ix_idempotency_key_created_at", "idempotency_key", ["created_at"], unique=False
    )

    op.create_table(
        "job",
        sa.Column("id", ID, nullable=False),
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("custom_id", ID, nullable=False),
        sa.Column("state", WORD, server_default="queued", nullable=False),
        sa.Column("round", sa.Integer(), server_default="0", nullable=False),
        sa.Column("outstanding", sa.Integer(), server_default="0", nullable=False),
        sa.Column("plan", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retry_of", sa.Integer(), nullable=True),
        sa.Column("reason", WORD, nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("closed_at", TIME, nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'expired')",
            name="ck_job_state_known",
        ),
        sa.CheckConstraint("outstanding >= 0", name="ck_job_not_negative"),
        sa.PrimaryKeyConstraint("id", name="pk_job"),
    )
    op.create_index(
        "ix_job_retry_of",
        "job",
        ["batch_id", "retry_of"],
        unique=False,
        sqlite_where=sa.text("retry_of IS NOT NULL"),
        postgresql_where=sa.text("retry_of IS NOT NULL"),
    )
    op.create_index(
        "ix_job_to_advance",
        "job",
        ["batch_id", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'running' AND outstanding = 0"),
        postgresql_where=sa.text("state = 'running' AND outstanding = 0"),
    )

    op.create_table(
        "ledger_entry",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("batch_id", ID, nullable=True),
        sa.Column("call_id", ID, nullable=True),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("debit", WORD, nullable=False),
        sa.Column("credit", WORD, nullable=False),
        sa.Column("amount_nanos", sa.BigInteger(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("price_version", WORD, nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.CheckConstraint(
            "kind IN ('grant', 'hold', 'capture', 'release', 'refund', 'adjustment')",
            name="ck_ledger_entry_kind_known",
        ),
        sa.CheckConstraint("amount_nanos > 0", name="ck_ledger_entry_positive"),
        sa.CheckConstraint("debit <> credit", name="ck_ledger_entry_moves"),
        sa.PrimaryKeyConstraint("id", name="pk_ledger_entry"),
        sa.UniqueConstraint("idempotency_key", name="uq_ledger_entry_idempotency_key"),
    )
    op.create_index("ix_ledger_entry_account", "ledger_entry", ["account_id", "id"], unique=False)
    op.create_index("ix_ledger_entry_batch", "ledger_entry", ["batch_id"], unique=False)

    op.create_table(
        "purge",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("deletes_account", sa.Boolean(), nullable=False),
        sa.Column("batch_id", ID, nullable=True),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_purge"),
    )
    op.create_index("ix_purge_account_id", "purge", ["account_id"], unique=False)
    op.create_table(
        "stored_text",
        sa.Column("owner_id", ID, nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('prompt', 'request', 'answer', 'extra', 'synthesis', 'route')",
            name="ck_stored_text_kind_known",
        ),
        sa.PrimaryKeyConstraint("owner_id", "kind", name="pk_stored_text"),
    )
    op.create_table(
        "text_key",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("batch_id", ID, nullable=True),
        sa.Column("file_id", ID, nullable=True),
        sa.Column("day", WORD, nullable=False),
        sa.Column("wrapped", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_text_key"),
        sa.UniqueConstraint("batch_id", name="uq_text_key_batch_id"),
        sa.UniqueConstraint("file_id", name="uq_text_key_file_id"),
    )
    op.create_index("ix_text_key_account_id", "text_key", ["account_id"], unique=False)
    op.create_index("ix_text_key_day", "text_key", ["day"], unique=False)
    op.create_table(
        "usage",
        sa.Column("call_id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("lane_id", ID, nullable=False),
        sa.Column("provider", WORD, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("role", WORD, nullable=False),
        sa.Column("billed", WORD, nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_read_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("cost_nanos", sa.BigInteger(), nullable=True),
        sa.Column("price_version", WORD, nullable=True),
        sa.Column("latency_ms", sa.Integer(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.CheckConstraint("billed IN ('byok', 'credits', 'cached')", name="ck_usage_billed_known"),
        sa.CheckConstraint("cost_nanos >= 0", name="ck_usage_not_negative"),
        sa.PrimaryKeyConstraint("call_id", name="pk_usage"),
    )
    op.create_index("ix_usage_batch_id", "usage", ["batch_id"], unique=False)

    op.create_table(
        "worker",
        sa.Column("id", ID, nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", WORD, nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("lease_until", TIME, nullable=False),
        sa.Column("writer_lag_ms", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_worker"),
    )
    op.create_table(
        "vital",
        sa.Column("name", WORD, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_vital"),
    )
    op.create_index("ix_worker_lease_until", "worker", ["lease_until"], unique=False)

    op.create_table(
        "api_key",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_sha256", WORD, nullable=False),
        sa.Column("hint", WORD, nullable=False),
        sa.Column("scopes", WORD, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=True),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.Column("last_used_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_api_key_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_api_key"),
        sa.UniqueConstraint("secret_sha256", name="uq_api_key_secret_sha256"),
    )
    op.create_index("ix_api_key_account_id", "api_key", ["account_id"], unique=False)

    op.create_table(
        "batch",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("mode", WORD, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("ending", WORD, nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("interactive", sa.Boolean(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("paused_at", TIME, nullable=True),
        sa.Column("paused_s", sa.Integer(), nullable=False),
        sa.Column("sample", sa.Integer(), nullable=True),
        sa.Column("at_most_once", sa.Boolean(), nullable=False),
        sa.Column("cache", sa.Boolean(), nullable=False),
        sa.Column("seal", WORD, nullable=True),
        sa.Column("gone_reason", WORD, nullable=True),
        sa.Column("gone_at", TIME, nullable=True),
        sa.Column("erased_at", TIME, nullable=True),
        sa.Column("retry_of", ID, nullable=True),
        sa.Column("input_file_id", ID, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("not_before", TIME, nullable=True),
        sa.Column("deadline", TIME, nullable=True),
        sa.Column("started_at", TIME, nullable=True),
        sa.Column("cancelling_at", TIME, nullable=True),
        sa.Column("finalizing_at", TIME, nullable=True),
        sa.Column("closed_at", TIME, nullable=True),
        sa.Column("jobs_total", sa.Integer(), nullable=False),
        sa.Column("jobs_queued", sa.Integer(), nullable=False),
        sa.Column("jobs_succeeded", sa.Integer(), nullable=False),
        sa.Column("jobs_failed", sa.Integer(), nullable=False),
        sa.Column("jobs_cancelled", sa.Integer(), nullable=False),
        sa.Column("jobs_expired", sa.Integer(), nullable=False),
        sa.Column("calls_total", sa.Integer(), nullable=False),
        sa.Column("calls_closed", sa.Integer(), nullable=False),
        sa.Column("calls_cached", sa.Integer(), nullable=False),
        sa.Column("event_seq", sa.Integer(), nullable=False),
        sa.Column("stop_if_failed_percent", sa.Integer(), nullable=True),
        sa.Column("first_left", sa.Integer(), nullable=False),
        sa.Column("first_failed", sa.Integer(), nullable=False),
        sa.Column("cap_nanos", sa.BigInteger(), nullable=True),
        sa.Column("reserved_nanos", sa.BigInteger(), nullable=False),
        sa.Column("spent_nanos", sa.BigInteger(), nullable=False),
        sa.Column("held_nanos", sa.BigInteger(), nullable=False),
        sa.Column("overrun_nanos", sa.BigInteger(), nullable=False),
        sa.Column("unpriced_calls", sa.Integer(), nullable=False),
        sa.Column("unknown_attempts", sa.Integer(), nullable=False),
        sa.Column("possible_duplicate_nanos", sa.BigInteger(), nullable=False),
        sa.Column("wasted_nanos", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "ending IS NULL OR ending IN ('cancelled', 'expired', 'budget_exhausted',"
            " 'too_many_failed')",
            name="ck_batch_ending_known",
        ),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'cancelling', 'finalizing', 'completed', 'failed', 'expired', 'cancelled')",
            name="ck_batch_state_known",
        ),
        sa.CheckConstraint(
            "jobs_queued >= 0 AND jobs_queued + jobs_succeeded + jobs_failed + jobs_cancelled"
            " + jobs_expired <= jobs_total",
            name="ck_batch_counts_add_up",
        ),
        sa.CheckConstraint(
            "reserved_nanos >= 0 AND spent_nanos >= 0", name="ck_batch_not_negative"
        ),
        sa.CheckConstraint(
            "seal IS NULL OR seal IN ('account', 'batch')", name="ck_batch_seal_known"
        ),
        sa.CheckConstraint(
            "gone_reason IS NULL OR gone_reason IN ('acknowledged', 'retention_none',"
            " 'retention_days', 'purged')",
            name="ck_batch_gone_reason_known",
        ),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_batch_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_batch"),
    )
    op.create_index("ix_batch_account", "batch", ["account_id", "id"], unique=False)
    op.create_index(
        "ix_batch_open",
        "batch",
        ["id"],
        unique=False,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    for name, columns, which in (
        ("ix_batch_kept", ["account_id", "closed_at"], "closed_at IS NOT NULL AND gone_at IS NULL"),
        ("ix_batch_to_erase", ["id"], "gone_at IS NOT NULL AND erased_at IS NULL"),
    ):
        op.create_index(
            name,
            "batch",
            columns,
            unique=False,
            sqlite_where=sa.text(which),
            postgresql_where=sa.text(which),
        )
    for column in ("name", "state"):
        op.create_index(
            f"ix_batch_{column}",
            "batch",
            ["account_id", column, "id"],
            unique=False,
            sqlite_where=sa.text("interactive = 0"),
            postgresql_where=sa.text("NOT interactive"),
        )
    op.create_table(
        "batch_metadata",
        sa.Column("account_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("batch_id", ID, nullable=False),
        sa.PrimaryKeyConstraint(
            "account_id", "name", "value", "batch_id", name="pk_batch_metadata"
        ),
    )
    op.create_index("ix_batch_metadata_batch_id", "batch_metadata", ["batch_id"], unique=False)

    op.create_table(
        "call",
        sa.Column("id", ID, nullable=False),
        sa.Column("job_id", ID, nullable=False),
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("lane_id", ID, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("role", WORD, nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("fail_fast", sa.Boolean(), nullable=False),
        sa.Column("meta", sa.Text(), nullable=True),
        sa.Column("cache_key", ID, nullable=True),
        sa.Column("state", WORD, nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("worker_id", ID, nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("unknowns", sa.Integer(), nullable=False),
        sa.Column("crash_count", sa.Integer(), nullable=False),
        sa.Column("wait_reason", WORD, nullable=True),
        sa.Column("waiting_since", TIME, nullable=True),
        sa.Column("max_tokens", sa.Integer(), nullable=True),
        sa.Column("tokens_bound", sa.Integer(), nullable=False),
        sa.Column("worst_nanos", sa.BigInteger(), nullable=True),
        sa.Column("reason", WORD, nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("closed_at", TIME, nullable=True),
        sa.CheckConstraint(
            "role IN ('candidate', 'judge', 'synthesizer')", name="ck_call_role_known"
        ),
        sa.CheckConstraint(
            "state IN ('queued', 'sending', 'succeeded', 'refused', 'failed', 'cancelled', 'expired')",
            name="ck_call_state_known",
        ),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_call_job_id"),
        sa.PrimaryKeyConstraint("id", name="pk_call"),
    )
    op.create_index(
        "ix_call_due",
        "call",
        ["lane_id", "model", "batch_id", "rank", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_call_held",
        "call",
        ["worker_id"],
        unique=False,
        sqlite_where=sa.text("worker_id IS NOT NULL"),
        postgresql_where=sa.text("worker_id IS NOT NULL"),
    )
    op.create_index(
        "ix_call_cache_key",
        "call",
        ["account_id", "cache_key"],
        unique=False,
        sqlite_where=sa.text("cache_key IS NOT NULL"),
        postgresql_where=sa.text("cache_key IS NOT NULL"),
    )
    op.create_index("ix_call_job_id", "call", ["job_id"], unique=False)

    op.create_table(
        "endpoint",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("batch_id", ID, nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("event_types", sa.Text(), nullable=False),
        sa.Column("wants_jobs", sa.Boolean(), nullable=False),
        sa.Column("secret_sealed", sa.Text(), nullable=True),
        sa.Column("secret_hint", WORD, nullable=True),
        sa.Column("old_secret_sealed", sa.Text(), nullable=True),
        sa.Column("old_secret_until", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=True),
        sa.Column("failing_since", TIME, nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("disabled_at", TIME, nullable=True),
        sa.Column("disabled_reason", WORD, nullable=True),
        sa.Column("deleted_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_endpoint_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_endpoint"),
    )
    op.create_index("ix_endpoint_account", "endpoint", ["account_id", "batch_id"], unique=False)
    op.create_index("ix_endpoint_batch_id", "endpoint", ["batch_id"], unique=False)
    op.create_index(
        "ix_endpoint_jobs",
        "endpoint",
        ["account_id"],
        unique=False,
        sqlite_where=sa.text("wants_jobs"),
        postgresql_where=sa.text("wants_jobs"),
    )

    op.create_table(
        "file",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", WORD, nullable=False),
        sa.Column("format", WORD, nullable=False),
        sa.Column("purpose", WORD, nullable=False),
        sa.Column("seal", WORD, nullable=True),
        sa.Column("batch_id", ID, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=True),
        sa.CheckConstraint(
            "seal IS NULL OR seal IN ('account', 'batch')", name="ck_file_seal_known"
        ),
        sa.CheckConstraint("format IN ('jsonl', 'csv', 'parquet')", name="ck_file_format_known"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_file_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_file"),
    )
    op.create_index("ix_file_account_id", "file", ["account_id"], unique=False)
    op.create_index("ix_file_expires_at", "file", ["expires_at"], unique=False)

    op.create_table(
        "lane",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=True),
        sa.Column("provider", WORD, nullable=False),
        sa.Column("billed", WORD, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("base_url", sa.Text(), nullable=True),
        sa.Column("rpm", sa.Integer(), nullable=True),
        sa.Column("tpm", sa.Integer(), nullable=True),
        sa.Column("in_flight", sa.Integer(), nullable=True),
        sa.Column("parked_reason", sa.Text(), nullable=True),
        sa.Column("parked_at", TIME, nullable=True),
        sa.Column("parked_until", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.CheckConstraint("billed IN ('byok', 'credits')", name="ck_lane_billed_known"),
        sa.CheckConstraint("state IN ('open', 'parked', 'closed')", name="ck_lane_state_known"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_lane_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_lane"),
    )
    op.create_index("uq_lane_account_provider", "lane", ["account_id", "provider"], unique=True)
    op.create_index(
        "uq_lane_platform",
        "lane",
        ["provider"],
        unique=True,
        sqlite_where=sa.text("account_id IS NULL"),
        postgresql_where=sa.text("account_id IS NULL"),
    )

    op.create_table(
        "verdict",
        sa.Column("job_id", ID, nullable=False),
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("winner", sa.Text(), nullable=True),
        sa.Column("abstained", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_verdict_job_id"),
        sa.PrimaryKeyConstraint("job_id", name="pk_verdict"),
    )
    op.create_index("ix_verdict_batch_id", "verdict", ["batch_id"], unique=False)

    op.create_table(
        "attempt",
        sa.Column("call_id", ID, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("worker_id", ID, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=True),
        sa.Column("worst_nanos", sa.BigInteger(), nullable=True),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("reason", WORD, nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("latency_ms", sa.Integer(), nullable=True),
        sa.Column("cost_nanos", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('sending', 'succeeded', 'failed', 'cancelled', 'unknown')",
            name="ck_attempt_state_known",
        ),
        sa.ForeignKeyConstraint(["call_id"], ["call.id"], name="fk_attempt_call_id"),
        sa.PrimaryKeyConstraint("call_id", "epoch", name="pk_attempt"),
    )
    op.create_table(
        "batch_spec",
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name="fk_batch_spec_batch_id"),
        sa.PrimaryKeyConstraint("batch_id", name="pk_batch_spec"),
    )
    op.create_table(
        "completion",
        sa.Column("call_id", ID, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("finish_reason", WORD, nullable=False),
        sa.Column("model_returned", sa.Text(), nullable=True),
        sa.Column("latency_ms", sa.Integer(), nullable=False),
        sa.Column("flags", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["call.id"], name="fk_completion_call_id"),
        sa.PrimaryKeyConstraint("call_id", name="pk_completion"),
    )
    op.create_table(
        "delivery",
        sa.Column("id", ID, nullable=False),
        sa.Column("event_id", ID, nullable=False),
        sa.Column("endpoint_id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("replay", sa.Integer(), nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("response_head", sa.Text(), nullable=True),
        sa.Column("answers", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("closed_at", TIME, nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'sending', 'delivered', 'failed', 'cancelled')",
            name="ck_delivery_state_known",
        ),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoint.id"], name="fk_delivery_endpoint_id"),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name="fk_delivery_event_id"),
        sa.PrimaryKeyConstraint("id", name="pk_delivery"),
        sa.UniqueConstraint(
            "event_id", "endpoint_id", "replay", name="uq_delivery_event_id_endpoint_id_replay"
        ),
    )
    op.create_index("ix_delivery_account", "delivery", ["account_id", "id"], unique=False)
    op.create_index("ix_delivery_endpoint", "delivery", ["endpoint_id", "id"], unique=False)
    op.create_index(
        "ix_delivery_open",
        "delivery",
        ["endpoint_id", "state", "due_at"],
        unique=False,
        sqlite_where=sa.text("state IN ('queued', 'sending')"),
        postgresql_where=sa.text("state IN ('queued', 'sending')"),
    )
    op.create_index(
        "ix_delivery_sending",
        "delivery",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'sending'"),
        postgresql_where=sa.text("state = 'sending'"),
    )

    op.create_table(
        "openai_batch",
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("endpoint", WORD, nullable=False),
        sa.Column("completion_window", WORD, nullable=False),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("errors", sa.Text(), nullable=True),
        sa.Column("output_file_id", ID, nullable=False),
        sa.Column("error_file_id", ID, nullable=False),
        sa.Column("output_kept_s", sa.Integer(), nullable=True),
        sa.Column("completed", sa.Integer(), nullable=True),
        sa.Column("failed", sa.Integer(), nullable=True),
        sa.Column("usage", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name="fk_openai_batch_batch_id"),
        sa.PrimaryKeyConstraint("batch_id", name="pk_openai_batch"),
    )
    op.create_index("ix_openai_batch_account_id", "openai_batch", ["account_id"], unique=False)

    op.create_table(
        "provider_key",
        sa.Column("id", ID, nullable=False),
        sa.Column("lane_id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("provider", WORD, nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("hint", WORD, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("last_used_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_provider_key_account_id"),
        sa.ForeignKeyConstraint(["lane_id"], ["lane.id"], name="fk_provider_key_lane_id"),
        sa.PrimaryKeyConstraint("id", name="pk_provider_key"),
        sa.UniqueConstraint("lane_id", name="uq_provider_key_lane_id"),
    )
    op.create_index("ix_provider_key_account_id", "provider_key", ["account_id"], unique=False)

    op.create_table(
        "usage_rollup",
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("day", WORD, nullable=False),
        sa.Column("provider", WORD, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("role", WORD, nullable=False),
        sa.Column("billed", WORD, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("mode", WORD, nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("succeeded", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("cancelled", sa.BigInteger(), nullable=False),
        sa.Column("expired", sa.BigInteger(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_read_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_nanos", sa.BigInteger(), nullable=False),
        sa.Column("unpriced", sa.BigInteger(), nullable=False),
        sa.Column("errors", sa.Text(), nullable=False),
        sa.Column("latencies", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "batch_id", "day", "provider", "model", "role", "billed", name="pk_usage_rollup"
        ),
    )
    op.create_index("ix_usage_rollup_account", "usage_rollup", ["account_id", "day"], unique=False)

    for statement in _TRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("usage_rollup")
    op.drop_table("batch_metadata")
    op.drop_table("provider_key")
    op.drop_table("delivery")
    op.drop_table("completion")
    op.drop_table("batch_spec")
    op.drop_table("attempt")
    op.drop_table("verdict")
    op.drop_table("lane")
    op.drop_table("file")
    op.drop_table("endpoint")
    op.drop_table("call")
    op.drop_table("openai_batch")
    op.drop_table("batch")
    op.drop_table("api_key")
    op.drop_table("vital")
    op.drop_table("worker")
    op.drop_table("usage")
    op.drop_table("text_key")
    op.drop_table("purge")
    op.drop_table("stored_text")
    op.drop_table("ledger_entry")
    op.drop_table("job")
    op.drop_table("idempotency_key")
    op.drop_table("event")
    op.drop_table("backlog")
    op.drop_table("audit_entry")
    op.drop_table("own_price")
    op.drop_table("account")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_change()")
