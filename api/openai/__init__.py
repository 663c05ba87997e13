"""OpenAI's API over the same pipeline: its paths, its shapes, its errors."""

from fastapi import APIRouter

from api.openai import batches, chat, files, models

router = APIRouter()
for part in (files, batches, chat, models):
    router.include_router(part.router)
