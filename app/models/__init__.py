"""The tables, and no queries."""

from app.models.account import Account, ApiKey, Lane, ProviderKey
from app.models.audit import AuditEntry
from app.models.base import Table, UTCDateTime
from app.models.batch import (
    Batch,
    BatchMetadata,
    BatchSpec,
    IdempotencyKey,
    InputFile,
    Job,
    StoredText,
    StoredVerdict,
    TextKey,
)
from app.models.call import Attempt, Backlog, Call, StoredCompletion, UsageRow, Vital, Worker
from app.models.ledger import LedgerEntry, OwnPriceRow
from app.models.openai import OpenAIBatch
from app.models.purge import Purge
from app.models.usage import UsageRollup
from app.models.webhook import Delivery, Endpoint, Event

__all__ = [
    "Account",
    "ApiKey",
    "Attempt",
    "AuditEntry",
    "Backlog",
    "Batch",
    "BatchMetadata",
    "BatchSpec",
    "Call",
    "Delivery",
    "Endpoint",
    "Event",
    "IdempotencyKey",
    "InputFile",
    "Job",
    "Lane",
    "LedgerEntry",
    "OpenAIBatch",
    "OwnPriceRow",
    "ProviderKey",
    "Purge",
    "StoredCompletion",
    "StoredText",
    "StoredVerdict",
    "Table",
    "TextKey",
    "UTCDateTime",
    "UsageRollup",
    "UsageRow",
    "Vital",
    "Worker",
]
