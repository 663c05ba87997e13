"""The examples of docs/openai-api.md run as the page shows them, against a fresh `overnight up`."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.servers.overnight import UpServer, up_server

PAGE = Path(__file__).parents[2] / "docs" / "openai-api.md"
BLOCKS = re.findall(r"^```(python|sh)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
PROGRAMS = [
    (kind, text) for kind, text in BLOCKS if "OVERNIGHT_URL" in text and "export" not in text
]
#: What each of them prints, in the order of the page; None where it is JSON.
PRINTED = [
    ["completed 2", "sky 200", "tea 200"],
    None,
    ["stop succeeded"],
    ["completed judge 3"],
    ["stop", "True", "simulated"],
]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpServer]:
    place = tmp_path_factory.mktemp("up")
    with up_server(place / "data", place / "log") as server:
        yield server


def test_every_program_of_the_page_is_run() -> None:
    assert len(PROGRAMS) == len(PRINTED)
    assert [kind for kind, _ in PROGRAMS].count("sh") == 1


@pytest.mark.parametrize("number", range(len(PRINTED)))
def test_a_program_of_the_page_does_what_it_says(up: UpServer, tmp_path: Path, number: int) -> None:
    kind, text = PROGRAMS[number]
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
    wanted = PRINTED[number]
    if wanted is None:
        batch = openai.types.Batch.model_validate_json(done.stdout)
        assert batch.request_counts is not None
        assert batch.request_counts.total == 2
    else:
        assert done.stdout.splitlines() == wanted
