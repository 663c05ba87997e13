"""The demonstration with a real model: real text, tokens and times, from this machine alone."""

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from api.cli.client import Client
from api.cli.demo_receiver import receiver
from api.cli.demo_system import Facts, check, demo_system, leashed
from api.cli.local_model import MODEL, weights
from api.cli.output import milliseconds, short, show_table
from api.cli.report import show_leaderboard
from api.cli.submit import send
from api.cli.watch import follow, summary_of

PROVIDER = "custom:local"
TEMPERATURES = (0.1, 0.7, 1.3)
JUDGED_TEMPERATURES = (0.1, 1.3)
CRITERIA = ("answers what was asked", "clear")
ANSWER_TOKENS_MAX = 80
VERDICT_TOKENS_MAX = 500
#: A parameter of this server's own, passed on as it is: without it, so small a model repeats
#: itself until its tokens are used up.
REPEAT_PENALTY = 1.15
SEED = 7
#: The server answers one request at a time; so none waits there, and latency is latency.
IN_FLIGHT = 1
_WEBHOOK_MAX_S = 15.0
_ADDRESS = re.compile(rb"https?://\S+")

PROMPTS = (
    ("rainbow", "Name three colours of the rainbow."),
    ("bread", "What do you need to bake a simple bread?"),
    ("winter", "Write one sentence about winter."),
    ("moon", "Why does the moon shine at night?"),
)
#: Judging takes a model of this size many times as long as answering.
JUDGED_JOBS_MAX = 2
BLENDED_JOBS_MAX = 1
BLENDED_TEMPERATURE = 0.5
SAMPLES = 2

_INTRO = """\
Overnight with a real model: SmolLM2-135M-Instruct, served on this machine by llama.cpp on one
thread, reached as any local server would be. What it writes is real, and so are tokens and times.
"""
_ABOUT_JUDGE = """\
Now it judges its own answers (allow_self), by criteria. A model this small shows the form of a
judgement, not the sense of one: do not read anything into the scores.
"""
_ABOUT_BLEND = """
And it answers several times, by other temperatures and viewpoints, and makes one answer of them
(self_moa). So small a model shows how that goes, not that the result is better.
"""


def show_local(jobs_max: int | None) -> Facts:
    """Compare at several temperatures, then judge; what came of it."""
    weights()
    prompts = [{"custom_id": name, "prompt": text} for name, text in PROMPTS[:jobs_max]]
    print(_INTRO)
    command = [sys.executable, "-P", "-m", "api.cli.local_model"]
    with (
        tempfile.TemporaryDirectory(prefix="overnight-model-") as directory,
        leashed(command, Path(directory) / "model.log") as server,
        demo_system(workers=1, in_flight=IN_FLIGHT) as system,
    ):
        base_url = f"{server.wait_for(_ADDRESS).decode()}/v1"
        system.command(
            "keys",
            "set",
            PROVIDER,
            "--base-url",
            base_url,
            "--no-key",
            "--in-flight",
            str(IN_FLIGHT),
        )
        client = system.client
        with receiver(client.get("/v1/webhooks/secret")["secret"]) as endpoint:
            compared = _compare(client, prompts, endpoint.url)
            print(_ABOUT_JUDGE)
            judged = _judge(client, prompts[:JUDGED_JOBS_MAX], endpoint.url)
            print(_ABOUT_BLEND)
            blended = _blend(client, prompts[:BLENDED_JOBS_MAX], endpoint.url)
            batches = (compared, judged, blended)
            for batch in batches:
                came = endpoint.wait_for("batch.completed", batch["id"], _WEBHOOK_MAX_S)
                check(came, f"no webhook for {batch['id']} came within {_WEBHOOK_MAX_S:.0f} s")
            return _facts(client, *batches) | {"webhooks_verified": len(endpoint.verified)}


def _compare(client: Client, prompts: list[dict[str, Any]], webhook_url: str) -> dict[str, Any]:
    body = _body("compare", TEMPERATURES, prompts, webhook_url)
    print(f"Comparing {len(prompts)} prompts at the temperatures {TEMPERATURES}:")
    batch = _run(client, body)
    results = results_of(client, batch["id"])
    check_answers(results)
    rows = (
        (
            job["custom_id"],
            one["label"],
            f"{one['usage']['input_tokens']} + {one['usage']['output_tokens']}",
            milliseconds(one["latency_ms"]),
            short(one["text"]),
        )
        for job in results
        for one in job["completions"]
    )
    show_table(
        ("prompt", "temperature", "tokens", "took", "answer"), rows, right=("tokens", "took")
    )
    return batch


def _judge(client: Client, prompts: list[dict[str, Any]], webhook_url: str) -> dict[str, Any]:
    body = _body("judge", JUDGED_TEMPERATURES, prompts, webhook_url)
    params = {
        "temperature": 0,
        "max_tokens": VERDICT_TOKENS_MAX,
        "extra": {"repeat_penalty": REPEAT_PENALTY},
    }
    judge = {"model": f"{PROVIDER}/{MODEL}", "params": params}
    body["judge"] = {"judges": [judge], "criteria": list(CRITERIA), "allow_self": True}
    batch = _run(client, body)
    results = results_of(client, batch["id"])
    check_answers(results)
    rows = (
        (job["custom_id"], score["label"], score["score"], short(score["reasoning"]))
        for job in results
        for score in job["verdict"]["scores"]
    )
    show_table(("prompt", "temperature", "score", "what the judge wrote"), rows, right=("score",))
    report = client.get(f"/v1/batches/{batch['id']}/report")
    show_leaderboard(report)
    print("* judged by the same model")
    return batch


def _blend(client: Client, prompts: list[dict[str, Any]], webhook_url: str) -> dict[str, Any]:
    body = _body("blend", (BLENDED_TEMPERATURE,), prompts, webhook_url)
    body["blend"] = {"strategy": "self_moa", "samples": SAMPLES}
    batch = _run(client, body)
    results = results_of(client, batch["id"])
    check_answers(results)
    for job in results:
        made = job["synthesis"]
        check(len(made["candidates"]) == SAMPLES, f"{len(made['candidates'])} samples were used")
        check(made["text"].strip(), f"{job['custom_id']}: the blend is empty")
        rows = [
            (one["label"], short(one["text"]))
            for one in job["completions"]
            if one["role"] == "candidate"
        ]
        what = f"fell back: {made['reason']}" if made["fell_back"] else "blend"
        show_table(("answer", "text"), [*rows, (what, short(made["text"]))])
    return batch


def _body(
    mode: str, temperatures: tuple[float, ...], prompts: list[dict[str, Any]], webhook_url: str
) -> dict[str, Any]:
    return {
        "name": f"local {mode}",
        "mode": mode,
        "models": [
            {
                "model": f"{PROVIDER}/{MODEL}",
                "params": {"temperature": temperature},
                "label": f"{temperature}",
            }
            for temperature in temperatures
        ],
        "params": {"max_tokens": ANSWER_TOKENS_MAX, "seed": SEED},
        "jobs": prompts,
        "webhook": {"url": webhook_url},
    }


def _run(client: Client, body: dict[str, Any]) -> dict[str, Any]:
    batch = follow(client, send(client, body)["id"])
    print(summary_of(batch))
    check(batch["state"] == "completed", f"the batch is {batch['state']}")
    succeeded = batch["counts"]["jobs"]["succeeded"]
    check(succeeded == len(body["jobs"]), f"{succeeded} of {len(body['jobs'])} jobs succeeded")
    return batch


def results_of(client: Client, batch_id: str) -> list[dict[str, Any]]:
    """Every job's result."""
    return list(client.pages(f"/v1/batches/{batch_id}/results"))


def check_answers(results: list[dict[str, Any]]) -> None:
    """Every candidate answered with text, and said what it used and how long it took."""
    for job in results:
        for one in job["completions"]:
            if one["role"] != "candidate":
                continue
            where = f"{job['custom_id']} at {one['label']}"
            check(one["state"] == "succeeded", f"{where} {one['state']}: {one['error']}")
            check(one["text"].strip(), f"{where} is empty")
            usage = one["usage"]
            check(not usage["estimated"] and usage["output_tokens"] > 0, f"{where}: no usage")
            check(one["latency_ms"] > 0, f"{where}: no latency")


def _facts(client: Client, *batches: dict[str, Any]) -> Facts:
    results = [job for batch in batches for job in results_of(client, batch["id"])]
    verdicts = [job["verdict"] for job in results if job["verdict"] is not None]
    answers = [one for job in results for one in job["completions"] if one["usage"] is not None]
    return {
        "batches": len(batches),
        "jobs": len(results),
        "calls": sum(batch["counts"]["calls"]["closed"] for batch in batches),
        "output_tokens": sum(one["usage"]["output_tokens"] for one in answers),
        "verdicts": sum(bool(verdict["scores"]) for verdict in verdicts),
        "abstained": sum(verdict["abstained"] for verdict in verdicts),
    }
