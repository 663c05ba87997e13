"""The other modes of the demonstration: compare, blend and mesh, each a small batch."""

from collections import Counter
from statistics import fmean
from typing import Any

from api.cli.client import Client
from api.cli.demo_receiver import Receiver
from api.cli.demo_system import check
from api.cli.output import short, show_table
from api.cli.report import show_leaderboard
from api.cli.submit import send
from api.cli.watch import follow, summary_of

JOBS = 10
_WEBHOOK_MAX_S = 15.0
_ALL_FAIL = {"extra": {"simulated": {"fault": {"status": 503}}}}

Batch = dict[str, Any]


def show_modes(client: Client, prompts: list[dict[str, Any]], endpoint: Receiver) -> list[Batch]:
    """Run them one after the other; the closed batches."""
    return [show(client, prompts[:JOBS], endpoint) for show in (_compare, _blend, _mesh)]


def _run(
    client: Client, prompts: list[dict[str, Any]], endpoint: Receiver, body: dict[str, Any]
) -> Batch:
    asked = body | {"jobs": prompts, "webhook": {"url": endpoint.url}}
    batch: Batch = follow(client, send(client, asked)["id"])
    print(summary_of(batch) + "\n")
    check(batch["state"] == "completed", f"the {body['mode']} batch is {batch['state']}")
    came = endpoint.wait_for("batch.completed", batch["id"], _WEBHOOK_MAX_S)
    check(came, f"nothing was told of the {body['mode']} batch")
    return batch


def _results(client: Client, batch: Batch) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/v1/batches/{batch['id']}/results")["data"]
    return found


def _compare(client: Client, prompts: list[dict[str, Any]], endpoint: Receiver) -> Batch:
    print("\nCompare: every prompt by every model, here one of them at two temperatures.")
    models = [
        {"model": "simulated/silver", "params": {"temperature": 0}, "label": "silver, cold"},
        {"model": "simulated/silver", "params": {"temperature": 1}, "label": "silver, warm"},
        "simulated/bronze",
    ]
    batch = _run(client, prompts, endpoint, {"mode": "compare", "models": models})
    show_leaderboard(client.get(f"/v1/batches/{batch['id']}/report"))
    answers = sum(len(line["completions"]) for line in _results(client, batch))
    check(answers == len(prompts) * len(models), f"{answers} answers")
    return batch


def _blend(client: Client, prompts: list[dict[str, Any]], endpoint: Receiver) -> Batch:
    print("\nBlend: three answers become one, and judges hold it against those it was made of.")
    body = {
        "mode": "blend",
        "models": ["simulated/silver", "simulated/bronze", "simulated/tin"],
        "blend": {"strategy": "consensus", "synthesizer": "simulated/gold"},
        "judge": {"judges": ["simulated/judge"]},
    }
    batch = _run(client, prompts, endpoint, body)
    lines = _results(client, batch)
    made = [one for line in lines if (one := line["synthesis"]) and not one["fell_back"]]
    check(len(made) == len(prompts), f"{len(made)} of {len(prompts)} answers were blended")
    scores = _mean_scores(lines)
    check(len(scores) == len(body["models"]) + 1, f"there are scores of {', '.join(scores)}")
    rows = sorted(scores.items(), key=lambda one: -one[1])
    show_table(("answer of", "mean score"), [(label, f"{score:.2f}") for label, score in rows])
    return batch


def _mean_scores(lines: list[dict[str, Any]]) -> dict[str, float]:
    """Each label's mean score, the blend's among them."""
    given: dict[str, list[float]] = {}
    for line in lines:
        for one in (line["verdict"] or {}).get("scores", ()):
            given.setdefault(one["label"], []).append(one["score"])
    return {label: fmean(scores) for label, scores in given.items()}


def _mesh(client: Client, prompts: list[dict[str, Any]], endpoint: Receiver) -> Batch:
    print("\nMesh: the first model was made to fail, and the next one answers.")
    body = {
        "mode": "mesh",
        "models": [{"model": "simulated/bronze", "params": _ALL_FAIL}],
        "mesh": {"fallback": [{"model": "simulated/silver", "params": {"extra": {}}}]},
    }
    batch = _run(client, prompts, endpoint, body)
    lines = _results(client, batch)
    routes = Counter(_told(line["route"]) for line in lines)
    show_table(("route", "jobs"), routes.most_common(), right=("jobs",))
    answered = sum(line["route"][-1]["label"] == "simulated/silver" for line in lines)
    check(answered == len(prompts), f"{answered} of {len(prompts)} jobs found the way")
    return batch


def _told(route: list[dict[str, Any]]) -> str:
    steps = (
        f"{step['label']} {step['outcome']}"
        + (f" ({step['status_code'] or step['reason']})" if step["outcome"] != "succeeded" else "")
        for step in route
    )
    return short(", ".join(steps)) or ""
