"""The examples of the pages of the doors run as they are shown, against a fresh `overnight up`."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import pytest

from tests.servers.overnight import UpServer, up_server

DOCS = Path(__file__).parents[2] / "docs"
Wanted = Callable[[str], bool]


def lines(*wanted: str) -> Wanted:
    return lambda shown: shown.splitlines() == list(wanted)


def batch_of_two(shown: str) -> bool:
    counts = openai.types.Batch.model_validate_json(shown).request_counts
    return counts is not None and counts.total == 2


def submitted(shown: str) -> bool:
    batch = json.loads(shown)
    return batch["name"] == "nightly" and batch["counts"]["jobs"]["total"] == 2


def listed(shown: str) -> bool:
    return {one["metadata"]["team"] for one in json.loads(shown)["data"]} == {"search"}


#: What the programs of each page print, in their order.
PRINTED: dict[str, list[Wanted]] = {
    "api.md": [submitted, lines("completed 2", "sky stop", "tea stop"), listed],
    "openai-api.md": [
        lines("completed 2", "sky 200", "tea 200"),
        batch_of_two,
        lines("stop succeeded"),
        lines("completed judge 3"),
        lines("stop", "True", "simulated"),
    ],
    "webhooks.md": [lines("alerts ['batch.completed']", "2", "204")],
}


def programs(page: str) -> list[tuple[str, str]]:
    """The blocks of a page that run as they are: they ask the API that the environment names."""
    text = (DOCS / page).read_text()
    blocks = re.findall(r"^```(python|sh)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    mark = 'os.environ["OVERNIGHT_URL"]', '"$OVERNIGHT_URL/'
    return [(kind, block) for kind, block in blocks if any(one in block for one in mark)]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpServer]:
    place = tmp_path_factory.mktemp("up")
    with up_server(place / "data", place / "log") as server:
        yield server


@pytest.mark.parametrize(
    ("page", "number"), [(page, n) for page, wanted in PRINTED.items() for n in range(len(wanted))]
)
def test_a_program_of_a_page_does_what_it_says(
    up: UpServer, tmp_path: Path, page: str, number: int
) -> None:
    found = programs(page)
    assert len(found) == len(PRINTED[page])
    kind, text = found[number]
    words = [sys.executable, "-c", text] if kind == "python" else ["sh", "-ec", text]
    ours = {"OVERNIGHT_URL": up.url, "OVERNIGHT_API_KEY": up.api_key, "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        words,
        cwd=tmp_path,
        env=up.environment | ours,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr + up.log
    assert PRINTED[page][number](done.stdout), done.stdout
