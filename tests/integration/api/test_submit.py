"""Submitting: accepted whole and once, or refused with the field at fault."""

import threading
from typing import Any

import msgspec
import pytest
from sqlmodel import func, select

from app.models import Batch, Job
from app.queue import Step
from tests.integration.api.conftest import Api, refused, submission


def batches_in(api: Api) -> int:
    with api.engine.store.read() as session:
        return session.exec(select(func.count()).select_from(Batch)).one()


def test_a_batch_is_accepted_shown_and_hinted(api: Api) -> None:
    answer = api.post("/v1/batches", json=submission("a", "b", name="nightly"))
    assert answer.status_code == 201
    batch = answer.json()
    assert batch["name"] == "nightly"
    assert batch["state"] == "queued"
    assert batch["counts"]["jobs"]["total"] == 2
    assert list(api.engine.queue.hints) == [(Step.PLAN, (batch["id"],))]
    assert api.get(f"/v1/batches/{batch['id']}").json()["id"] == batch["id"]
