"""Batch files: grids become models, windows become moments, and slips are named."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from api.cli.failure import ExitCode, Failure
from api.cli.grid import expand
from api.cli.sweep import read_batch_file
from api.cli.window import next_hours
from app.domain.errors import InvalidRequestError
from app.domain.spec import BatchBody
from app.pipeline.templates import MessagesTemplate
from app.pipeline.variants import make_plan
from tests.fakes.api import FakeApi, batch_view
from tests.unit.cli.conftest import Overnight

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def written(tmp_path: Path, text: str, name: str = "sweep.yaml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def refusal_of(path: Path) -> str:
    with pytest.raises(Failure) as caught:
        read_batch_file(path, NOON)
    assert caught.value.code == ExitCode.USAGE
    return caught.value.message.removeprefix(str(path))


def test_a_sweep_is_a_submission_with_its_grid_window_and_prompts_worked_out(
    tmp_path: Path,
) -> None:
    path = written(
        tmp_path,
        """
        name: nightly
        prompts: data/questions.csv
        template: {messages: [{role: user, content: "{{ question }}"}]}
        models: [simulated/gold, {model: simulated/tin, label: tin, params: {seed: 1}}]
        grid: {temperature: [0, 0.7], max_tokens: [64]}
        repeats: 2
        judge: {judges: [simulated/judge], criteria: [correct]}
        budget_usd: 5
        window: 22:00-06:00 Europe/Berlin
        metadata: {team: search}
        """,
    )
    batch = read_batch_file(path, NOON)
    assert batch.prompts == tmp_path / "data/questions.csv"
    assert batch.notes == ["grid.max_tokens has one value: it compares nothing"]
    assert batch.body == {
        "name": "nightly",
        "template": {"messages": [{"role": "user", "content": "{{ question }}"}]},
        "models": [
            {"model": "simulated/gold", "params": {"temperature": 0, "max_tokens": 64}, "label": "simulated/gold temperature=0"},
            {"model": "simulated/gold", "params": {"temperature": 0.7, "max_tokens": 64}, "label": "simulated/gold temperature=0.7"},
            {"model": "simulated/tin", "params": {"seed": 1, "temperature": 0, "max_tokens": 64}, "label": "tin temperature=0"},
            {"model": "simulated/tin", "params": {"seed": 1, "temperature": 0.7, "max_tokens": 64}, "label": "tin temperature=0.7"},
        ],
        "repeats": 2,
        "judge": {"judges": ["simulated/judge"], "criteria": ["correct"]},
        "budget_usd": 5,
        "not_before": "2026-11-24T21:00:00+00:00",
        "deadline": "2026-11-25T05:00:00+00:00",
        "metadata": {"team": "search"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("modells: [a/b]", ": modells: is not a field of a batch; did you mean 'models'?"),
        ("name: a\nname: b", ", line 2: 'name' is there twice"),
        ("- a", ": should be an object with the fields of a batch"),
        ("a: [", ": not YAML"),
        ("models: [a/b]\ngrid: {temperature: 0}", ": grid: give each parameter a list of values"),
        ("grid: {temperature: [0]}", ": models: name at least one"),
        ("models: [nothing]\ngrid: {temperature: [0]}", ": models[0]: 'nothing' is not a model"),
        ("window: 22:00-06:00 Europe/Nowhere", ": window: there is no time zone"),
        ("window: 25:00-06:00 UTC", ": window: a day has the hours"),
        ("window: 22:00-22:00 UTC", ": window: it ends when it begins"),
        ("window: at night", ": window: write it as"),
        ("window: 22:00-06:00 UTC\ndeadline: 24h", ": window: says not_before and deadline"),
        ("prompts: a.csv\njobs: []", ": prompts: name one file"),
        ("prompts: 7", ": prompts: name one file"),
    ],
)
def test_a_slip_is_named(tmp_path: Path, text: str, said: str) -> None:
    assert refusal_of(written(tmp_path, text)).startswith(said)


def test_nothing_of_python_is_made_from_yaml(tmp_path: Path) -> None:
    path = written(tmp_path, "name: !!python/object/apply:os.getcwd []")
    assert ": not YAML" in refusal_of(path)


def test_moments_and_prompts_may_be_written_down(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        'models: [a/b]\nnot_before: 2026-11-24T22:00:00+01:00\nprompts: ["One?", {prompt: "Two?"}]',
    )
    body = read_batch_file(path, NOON).body
    assert body["not_before"] == "2026-11-24T22:00:00+01:00"
    assert body["jobs"] == [{"prompt": "One?"}, {"prompt": "Two?"}]
    json.dumps(body)


def test_what_a_model_takes_no_value_of_is_left_out_and_the_same_cell_is_one() -> None:
    made = expand(
        ["openai/o3", "simulated/gold", {"model": "simulated/gold", "label": "again"}],
        {"temperature": [0, 0.7, 0.7]},
    )
    assert [one["label"] for one in made.models] == [
        "openai/o3",
        "simulated/gold temperature=0",
        "simulated/gold temperature=0.7",
    ]
    assert made.models[0]["params"] == {}
    notes = list(dict.fromkeys(made.notes))
    assert notes == [
        "openai/o3 takes none of grid.temperature: it is asked without",
        "grid.temperature says a value twice: it is used once",
        "again temperature=0 is the same as simulated/gold temperature=0: it is asked once",
        "again temperature=0.7 is the same as simulated/gold temperature=0.7: it is asked once",
    ]


def test_long_labels_are_cut_and_still_differ() -> None:
    made = expand(["a/b"], {"stop": [["x" * 120, "1"], ["x" * 120, "2"]]})
    labels = {one["label"] for one in made.models}
    assert len(labels) == 2
    assert max(map(len, labels)) <= 100


@pytest.mark.parametrize(
    ("now", "begins", "ends"),
    [
        ("2026-11-24T12:00", "2026-11-24T21:00", "2026-11-25T05:00"),
        ("2026-11-24T22:30", None, "2026-11-25T05:00"),  # it is open
        ("2026-11-25T04:59", None, "2026-11-25T05:00"),  # since yesterday
        ("2026-11-25T05:00", "2026-11-25T21:00", "2026-11-26T05:00"),
        ("2026-03-28T12:00", "2026-03-28T21:00", "2026-03-29T04:00"),  # clocks go forward
        ("2026-10-24T12:00", "2026-10-24T20:00", "2026-10-25T05:00"),  # and back
    ],
)
def test_the_next_hours_are_told_by_the_clocks_of_their_place(
    now: str, begins: str | None, ends: str
) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    hours = next_hours("22:00-06:00 Europe/Berlin", moment)
    assert hours.ends == datetime.fromisoformat(ends).replace(tzinfo=UTC)
    assert hours.begins == (
        None if begins is None else datetime.fromisoformat(begins).replace(tzinfo=UTC)
    )


def test_hours_that_the_clocks_skip_begin_after_them() -> None:
    night = datetime(2026, 3, 28, 12, tzinfo=UTC)
    hours = next_hours("02:30-05:00 Europe/Berlin", night)
    assert hours.begins == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)  # 03:30 there
    assert hours.ends == datetime(2026, 3, 29, 3, tzinfo=UTC)


def test_the_documented_sweep_is_one(tmp_path: Path) -> None:
    docs = (Path(__file__).parents[3] / "docs/sweeps.md").read_text(encoding="utf-8")
    example = docs.split("```yaml\n")[1].split("```")[0]
    batch = read_batch_file(written(tmp_path, example), NOON)
    assert batch.notes == []
    assert [one["label"] for one in batch.body["models"]] == [
        f"{name} temperature={value}" for name in ("simulated/gold", "small") for value in (0, 0.7)
    ]
    MessagesTemplate(batch.body["template"])
    plan = make_plan(BatchBody.model_validate_json(json.dumps({"mode": "judge"} | batch.body)))
    assert len(plan.variants) == 8


def submitted(api: FakeApi) -> Any:
    return api.body(-1)


def test_a_sweeps_prompts_are_uploaded_under_their_own_name(
    overnight: Overnight, api: FakeApi, tmp_path: Path
) -> None:
    written(tmp_path, "question\nWhy?\n", "q.csv")
    path = written(tmp_path, "prompts: q.csv\nmodels: [a/b]\ntemplate: {messages: []}")
    api.answer("POST /v1/files", {"id": "file_1"}, status=201)
    api.answer("POST /v1/batches", batch_view(state="queued"), status=201)
    assert overnight("submit", str(path)) == ExitCode.DONE
    upload = api.journal[0].content
    assert b'filename="q.csv"' in upload
    assert b"question\nWhy?\n" in upload
    assert submitted(api)["input_file_id"] == "file_1"


def test_a_table_of_prompts_is_uploaded_too(
    overnight: Overnight, api: FakeApi, tmp_path: Path
) -> None:
    path = written(tmp_path, "prompt\nWhy?\n", "q.csv")
    api.answer("POST /v1/files", {"id": "file_1"}, status=201)
    api.answer("POST /v1/batches", batch_view(state="queued"), status=201)
    assert overnight("submit", str(path), "--model", "a/b") == ExitCode.DONE
    assert submitted(api) == {"mode": "chat", "models": ["a/b"], "input_file_id": "file_1"}


def test_a_sweep_whose_prompts_are_not_there_says_so(
    overnight: Overnight, api: FakeApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, "prompts: nowhere.csv\nmodels: [a/b]")
    assert overnight("submit", str(path)) == ExitCode.USAGE
    assert "nowhere.csv cannot be read" in capsys.readouterr().err
    assert api.journal == []


def test_blends_and_meshes_are_submitted_from_flags(overnight: Overnight, api: FakeApi) -> None:
    api.answer("POST /v1/batches", batch_view(state="queued"), status=201)
    asked = ["submit", "--prompt", "Why?", "--model", "a/b"]
    overnight(*asked, "--model", "c/d", "--blend", "council", "--synthesizer", "e/f")
    assert submitted(api)["mode"] == "blend"
    assert submitted(api)["blend"] == {"strategy": "council", "synthesizer": "e/f"}
    overnight(*asked, "--fallback", "c/d", "--fallback", "e/f")
    assert submitted(api)["mode"] == "mesh"
    assert submitted(api)["mesh"] == {"fallback": ["c/d", "e/f"]}


@pytest.mark.parametrize(
    ("axis", "said"),
    [
        ("temprature", "did you mean 'temperature'?"),
        ("zzz", "there are temperature, top_p, max_tokens"),
    ],
)
def test_an_axis_that_is_no_parameter_is_refused_before_anything_is_asked(
    axis: str, said: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        expand(["simulated/gold"], {axis: [0, 1]})
    assert f"grid.{axis}: is no parameter" in caught.value.message
    assert said in caught.value.message
