"""OpenAI's API over the same pipeline: its paths, its shapes, its errors."""

from fastapi import APIRouter

from api.openai import batches, chat, files, models, webhooks

router = APIRouter()
for part in (files, batches, chat, models, webhooks):
    router.include_router(part.router)
