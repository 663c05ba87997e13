"""What tests are about, made the short way: rows here, plain values of the modes in `plans`."""

from tests.factories.around import make_backlog, make_verdict
from tests.factories.base import NIGHT, lane_of, make_account, make_lane, make_text
from tests.factories.rows import (
    Answer,
    make_answer,
    make_attempt,
    make_batch,
    make_call,
    make_job,
)

__all__ = [
    "NIGHT",
    "Answer",
    "lane_of",
    "make_account",
    "make_answer",
    "make_attempt",
    "make_backlog",
    "make_batch",
    "make_call",
    "make_job",
    "make_lane",
    "make_text",
    "make_verdict",
]
