"""Exit codes say what happened, and the documentation says what they mean."""

import re
from pathlib import Path

import pytest

from api.cli.failure import ExitCode
from tests.fakes.api import FakeApi, batch_view
from tests.unit.cli.conftest import Overnight

DOCS = Path(__file__).parents[3] / "docs" / "cli.md"
SUBMIT = ("submit", "--model", "a/b", "--prompt", "One?", "--wait")
SAMPLED = {"reason": "sample", "until": None, "lane": None}


def test_every_code_is_documented_and_no_other() -> None:
    told = re.findall(r"^\| (\d+) \|", DOCS.read_text(), re.MULTILINE)
    assert [int(code) for code in told] == sorted(ExitCode)


@pytest.mark.parametrize("command", [SUBMIT, ("watch", "batch_1")], ids=["submit", "watch"])
@pytest.mark.parametrize(
    ("batch", "code", "said"),
    [
        (batch_view(), ExitCode.DONE, ""),
        (batch_view(jobs={"succeeded": 3, "failed": 1}), ExitCode.JOBS_FAILED, "1 of its jobs"),
        (batch_view(state="failed", ending="too_many_failed"), ExitCode.FAILED, "too_many_failed"),
        (batch_view(state="expired"), ExitCode.EXPIRED, "batch_1 is expired"),
        (batch_view(state="cancelled"), ExitCode.CANCELLED, "batch_1 is cancelled"),
        (batch_view(state="running", sample=2, waiting_on=SAMPLED), ExitCode.DONE, ""),
    ],
    ids=["completed", "jobs failed", "failed", "expired", "cancelled", "sample done"],
)
def test_a_watched_batch_ends_the_command_by_what_came_of_it(  # noqa: PLR0913, PLR0917 - what, and how
    overnight: Overnight,
    api: FakeApi,
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, ...],
    batch: dict[str, object],
    code: ExitCode,
    said: str,
) -> None:
    api.answer("POST /v1/batches", batch_view(state="queued"), status=201)
    api.answer("GET /v1/batches/batch_1", batch)
    assert overnight(*command) == code
    shown = capsys.readouterr()
    assert said in shown.err
    assert "batch_1" in shown.out


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, 4), (403, 4), (404, 1), (409, 2), (413, 2), (422, 2), (500, 1)],
)
def test_what_the_api_refuses_has_its_code(
    overnight: Overnight, api: FakeApi, status: int, code: int
) -> None:
    api.refuse("POST /v1/batches", status, "no")
    assert overnight(*SUBMIT) == code
