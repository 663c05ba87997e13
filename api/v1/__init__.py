"""The native API, version 1: every route parses, calls one use case, and shows a view."""

from fastapi import APIRouter

from api.v1 import (
    account,
    api_keys,
    audit,
    batches,
    events,
    files,
    jobs,
    models,
    money,
    prices,
    privacy,
    provider_keys,
    reports,
    results,
    usage,
    webhooks,
)

router = APIRouter()
for part in (
    batches,
    events,
    reports,
    results,
    jobs,
    files,
    models,
    provider_keys,
    prices,
    money,
    usage,
    webhooks,
    api_keys,
    audit,
    privacy,
    account,
):
    router.include_router(part.router)
