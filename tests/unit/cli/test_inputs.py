"""What a person types becomes the body that was meant."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from api.cli.failure import ExitCode, Failure
from api.cli.inputs import INLINE_BYTES_MAX, Flags, body_of, is_large, jobs_of_lines
from tests.fakes.api import FakeApi, batch_view
from tests.unit.cli.conftest import Overnight


def usage_error_of(flags: Flags) -> str:
    with pytest.raises(Failure) as caught:
        body_of(flags, {})
    assert caught.value.code == ExitCode.USAGE
    return caught.value.message


@pytest.mark.parametrize(
    ("flags", "mode"),
    [
        (Flags(model=["a/b"]), "chat"),
        (Flags(model=["a/b", "c/d"]), "compare"),
        (Flags(model=["a/b"], repeats=3), "compare"),
        (Flags(model=["a/b", "c/d"], judge=["e/f"]), "judge"),
        (Flags(model=["a/b", "c/d"], mode="chat"), "chat"),
    ],
)
def test_the_mode_is_what_the_rest_implies(flags: Flags, mode: str) -> None:
    assert body_of(flags, {})["mode"] == mode


def test_flags_become_fields_and_what_is_not_given_is_left_out() -> None:
    flags = Flags(
        name="nightly",
        model=["a/b", '{"model": "c/d", "params": {"temperature": 0.2}, "label": "cool"}'],
        judge=["e/f"],
        criteria=["correct", "short"],
        allow_self=True,
        params='{"max_tokens": 64}',
        budget=1.5,
        webhook="https://example.test/hook",
    )
    assert body_of(flags, {}) == {
        "name": "nightly",
        "mode": "judge",
        "models": ["a/b", {"model": "c/d", "params": {"temperature": 0.2}, "label": "cool"}],
        "judge": {"judges": ["e/f"], "criteria": ["correct", "short"], "allow_self": True},
        "params": {"max_tokens": 64},
        "budget_usd": 1.5,
        "webhook": {"url": "https://example.test/hook"},
    }


def test_flags_go_over_a_batch_file_s_fields() -> None:
    base = {"mode": "judge", "models": ["a/b"], "judge": {"judges": ["e/f"]}, "priority": 7}
    body = body_of(Flags(model=["c/d"], criteria=["short"]), base)
    assert body == {
        "mode": "judge",
        "models": ["c/d"],
        "judge": {"judges": ["e/f"], "criteria": ["short"]},
        "priority": 7,
    }


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (Flags(), "--model"),
        (Flags(model=["{nonsense"]), "--model"),
        (Flags(model=["a/b"], params="[1]"), "--params"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(flags: Flags, said: str) -> None:
    assert said in usage_error_of(flags)


def test_lines_become_jobs_and_empty_ones_are_passed_over() -> None:
    lines = [b'{"prompt": "a"}\n', b"\n", b'{"messages": []}\n']
    assert jobs_of_lines(lines) == [{"prompt": "a"}, {"messages": []}]


@pytest.mark.parametrize("line", [b"not json", b"[1]", b"\xff\xfe"])
def test_a_bad_line_is_named_by_its_number(line: bytes) -> None:
    with pytest.raises(Failure, match="line 2"):
        jobs_of_lines([b'{"prompt": "a"}', line])


def test_only_a_large_input_goes_as_a_file() -> None:
    assert not is_large(io.BytesIO(b" " * INLINE_BYTES_MAX))
    assert is_large(io.BytesIO(b" " * (INLINE_BYTES_MAX + 1)))


def submitted(api: FakeApi) -> Any:
    return api.body(-1)


def test_prompts_can_be_given_as_flags(
    overnight: Overnight, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answer("POST /v1/batches", batch_view(state="queued"), status=201)
    code = overnight("submit", "--model", "a/b", "--prompt", "One?", "--prompt", "Two?")
    assert code == ExitCode.DONE
    assert submitted(api)["jobs"] == [{"prompt": "One?"}, {"prompt": "Two?"}]
    assert capsys.readouterr().out == "batch_1\n"


def test_every_submission_can_safely_be_sent_again(overnight: Overnight, api: FakeApi) -> None:
    api.answer("POST /v1/batches", batch_view(), status=201)
    for _ in range(2):
        overnight("submit", "--model", "a/b", "--prompt", "One?")
    first, second = (request.headers["idempotency-key"] for request in api.journal)
    assert first != second
    overnight("submit", "--model", "a/b", "--prompt", "One?", "--idempotency-key", "mine")
    assert api.journal[-1].headers["idempotency-key"] == "mine"


def test_prompts_can_come_from_a_file_or_from_standard_input(
    overnight: Overnight, api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.answer("POST /v1/batches", batch_view(), status=201)
    (tmp_path / "in.jsonl").write_text('{"custom_id": "q1", "prompt": "One?"}\n')
    assert overnight("submit", str(tmp_path / "in.jsonl"), "--model", "a/b") == ExitCode.DONE
    assert submitted(api)["jobs"] == [{"custom_id": "q1", "prompt": "One?"}]
    stdin = io.TextIOWrapper(io.BytesIO(b'{"prompt": "Two?"}\n'))
    monkeypatch.setattr("sys.stdin", stdin)
    assert overnight("submit", "-", "--model", "a/b") == ExitCode.DONE
    assert submitted(api)["jobs"] == [{"prompt": "Two?"}]


def test_a_large_file_is_uploaded_first(overnight: Overnight, api: FakeApi, tmp_path: Path) -> None:
    api.answer("POST /v1/files", {"id": "file_1"}, status=201)
    api.answer("POST /v1/batches", batch_view(), status=201)
    line = json.dumps({"prompt": "x" * 1000}) + "\n"
    (tmp_path / "in.jsonl").write_text(line * 1100)
    assert overnight("submit", str(tmp_path / "in.jsonl"), "--model", "a/b") == ExitCode.DONE
    upload, submission = api.journal
    assert upload.content.count(line.encode()) == 1100
    assert json.loads(submission.content)["input_file_id"] == "file_1"
    assert "jobs" not in json.loads(submission.content)


def test_a_large_file_takes_no_prompts_beside_it(
    overnight: Overnight, api: FakeApi, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'{"prompt": "x"}\n' * INLINE_BYTES_MAX)
    words = (str(tmp_path / "in.jsonl"), "--model", "a/b", "--prompt", "One more?")
    assert overnight("submit", *words) == ExitCode.USAGE
    assert api.journal == []


def test_a_whole_batch_can_come_from_a_file(
    overnight: Overnight, api: FakeApi, tmp_path: Path
) -> None:
    api.answer("POST /v1/batches", batch_view(), status=201)
    batch = {"mode": "chat", "models": ["a/b"], "jobs": [{"prompt": "One?"}], "priority": 9}
    (tmp_path / "batch.json").write_text(json.dumps(batch))
    assert overnight("submit", str(tmp_path / "batch.json"), "--name", "mine") == ExitCode.DONE
    assert submitted(api) == batch | {"name": "mine"}


def test_a_file_that_is_not_there_is_a_usage_error(
    overnight: Overnight, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    assert overnight("submit", "nowhere.jsonl", "--model", "a/b") == ExitCode.USAGE
    assert "nowhere.jsonl" in capsys.readouterr().err
    assert api.journal == []


def test_waiting_ends_with_the_batch(
    overnight: Overnight, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answer("POST /v1/batches", batch_view(state="queued"), status=201)
    api.answer("GET /v1/batches/batch_1", batch_view())
    words = ("submit", "--model", "a/b", "--prompt", "One?", "--wait", "--json")
    assert overnight(*words) == ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["state"] == "completed"
