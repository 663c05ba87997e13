"""The native API, version 1: every route parses, calls one use case, and shows a view."""

from fastapi import APIRouter

from api.v1 import (
    audit,
    batches,
    files,
    jobs,
    models,
    money,
    provider_keys,
    reports,
    results,
    usage,
    webhooks,
)

router = APIRouter()
for part in (
    batches,
    reports,
    results,
    jobs,
    files,
    models,
    provider_keys,
    money,
    usage,
    webhooks,
    audit,
):
    router.include_router(part.router)
