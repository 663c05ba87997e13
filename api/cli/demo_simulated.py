"""The demonstration with simulated models: their true qualities are known, and recovered."""

import os
from importlib.resources import files
from typing import Any

from api.cli.demo_modes import show_modes
from api.cli.demo_receiver import Receiver, receiver
from api.cli.demo_system import Facts, check, demo_system
from api.cli.inputs import jobs_of_lines
from api.cli.report import show_report
from api.cli.submit import send
from api.cli.watch import follow, summary_of
from app.providers.simulated import MODELS

CONTESTANTS = ("tin", "gold", "bronze", "silver")
JUDGES = ("simulated/judge", "simulated/second-judge")
CRITERIA = ("correct", "clear", "no longer than needed")
#: Slower than they need to be, so that there is progress to watch.
SLOWNESS = 6
IN_FLIGHT = 16
_WEBHOOK_MAX_S = 15.0
_SEED = 7

_INTRO = """\
Overnight, demonstrated. The provider is simulated: no model is called and nothing is bought.
Each simulated model has a planted quality, and its answers vary around it; the judges see the
answers under other names, in another order each time, and score what they see, with noise.
"""


def show_simulated(jobs_max: int | None) -> Facts:
    """Submit, watch, rank and be told; what came of it."""
    prompts = demo_prompts()[:jobs_max]
    print(_INTRO)
    workers = min(2, os.cpu_count() or 1)
    with demo_system(workers=workers, in_flight=IN_FLIGHT) as system:
        client = system.client
        secret = client.get("/v1/webhooks/secret")["secret"]
        with receiver(secret) as endpoint:
            print(f"It runs on {client.url}, on a directory of its own, with {workers} workers.")
            print(
                f"Judge: {len(prompts)} prompts, {len(CONTESTANTS)} models, {len(JUDGES)} judges."
            )
            submitted = send(client, body_of_demo(prompts, endpoint.url))
            batch = follow(client, submitted["id"])
            print(summary_of(batch) + "\n")
            report = client.get(f"/v1/batches/{batch['id']}/report")
            show_report(report, planted_qualities())
            check_batch(batch, len(prompts))
            check_order(report)
            batches = [batch, *show_modes(client, prompts, endpoint)]
            check_webhook(endpoint, batch["id"])
            return {
                "batches": len(batches),
                "jobs": sum(one["counts"]["jobs"]["succeeded"] for one in batches),
                "calls": sum(one["counts"]["calls"]["closed"] for one in batches),
                "webhooks_verified": len(endpoint.verified),
            }


def demo_prompts() -> list[dict[str, Any]]:
    """The prompts of the demonstration."""
    return jobs_of_lines(files("api.cli").joinpath("demo_prompts.jsonl").read_bytes().splitlines())


def planted_qualities() -> dict[str, float]:
    """The truth, by label."""
    return {f"simulated/{name}": MODELS[name].quality for name in CONTESTANTS}


def body_of_demo(prompts: list[dict[str, Any]], webhook_url: str) -> dict[str, Any]:
    """The submission."""
    return {
        "name": "demo",
        "mode": "judge",
        "models": [_slow(f"simulated/{name}", MODELS[name].latency_ms) for name in CONTESTANTS],
        "params": {"seed": _SEED},
        "judge": {
            "judges": [_slow(judge, MODELS["judge"].latency_ms) for judge in JUDGES],
            "criteria": list(CRITERIA),
        },
        "jobs": prompts,
        "budget_usd": 5,
        "webhook": {"url": webhook_url},
    }


def _slow(model: str, latency_ms: float) -> dict[str, Any]:
    simulated = {"latency_ms": SLOWNESS * latency_ms}
    return {"model": model, "params": {"extra": {"simulated": simulated}}}


def check_batch(batch: dict[str, Any], jobs: int) -> None:
    """Every job was answered and judged."""
    check(batch["state"] == "completed", f"the batch is {batch['state']}")
    succeeded = batch["counts"]["jobs"]["succeeded"]
    check(succeeded == jobs, f"{succeeded} of {jobs} jobs succeeded")


def check_order(report: dict[str, Any]) -> None:
    """The leaderboard has the planted order."""
    truth = planted_qualities()
    planted = sorted(truth, key=lambda label: -truth[label])
    found = [entry["label"] for entry in report["leaderboard"]]
    check(found == planted, f"the leaderboard has {found}, planted was {planted}")
    print("\nThe leaderboard has the planted order.")


def check_webhook(endpoint: Receiver, batch_id: str) -> None:
    """The batch was announced, signed by the account's secret."""
    came = endpoint.wait_for("batch.completed", batch_id, _WEBHOOK_MAX_S)
    check(came, f"no batch.completed came within {_WEBHOOK_MAX_S:.0f} s")
    check(endpoint.refused == 0, f"{endpoint.refused} webhooks were not signed rightly")
    kinds = ", ".join(sorted({event["type"] for event in endpoint.verified}))
    print(f"Webhooks received and their signatures verified: {kinds}.")
