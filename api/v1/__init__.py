"""The native API, version 1: every route parses, calls one use case, and shows a view."""

from fastapi import APIRouter

from api.v1 import batches, credits, files, jobs, models, provider_keys, results, webhooks

router = APIRouter(prefix="/v1")
for part in (batches, results, jobs, files, models, provider_keys, credits, webhooks):
    router.include_router(part.router)
