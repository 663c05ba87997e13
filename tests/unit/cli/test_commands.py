"""Every command is found, starts quickly, and says what it does."""

import subprocess
import sys
from importlib.metadata import version

import pytest
from typer.main import get_command

from api.cli.commands import MODULES, make_app
from api.cli.failure import ExitCode
from tests.fakes.api import FakeApi, batch_view
from tests.unit.cli.conftest import Overnight


def test_the_version_is_said(overnight: Overnight, capsys: pytest.CaptureFixture[str]) -> None:
    assert overnight("--version") == ExitCode.DONE
    assert capsys.readouterr().out == f"overnight {version('overnight')}\n"


def test_to_say_the_version_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; sys.argv = ['overnight', '--version']; import api.cli; api.cli.main(); "
        "print(sorted({'typer', 'httpx', 'rich', 'pydantic', 'sqlalchemy'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[1:] == ["[]"]


@pytest.mark.parametrize("command", MODULES)
def test_every_command_explains_itself(
    overnight: Overnight, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert overnight(command, "--help") == ExitCode.DONE
    assert f"overnight {command}" in capsys.readouterr().out


def test_the_help_of_every_command_has_an_example() -> None:
    leaves = []
    for name, one in get_command(make_app([])).commands.items():  # type: ignore[attr-defined]
        inner = getattr(one, "commands", {"": one})
        leaves += [(f"{name} {sub}".strip(), leaf) for sub, leaf in inner.items()]
    without = {name for name, one in leaves if f"Example: overnight {name}" not in (one.help or "")}
    assert without == set()


def test_help_lists_every_command_and_the_exit_codes(
    overnight: Overnight, capsys: pytest.CaptureFixture[str]
) -> None:
    assert overnight("--help") == ExitCode.DONE
    shown = capsys.readouterr().out
    assert all(f"\n  {command} " in shown for command in MODULES)
    assert "Exit codes" in shown


def test_a_command_that_is_none_is_a_usage_error(
    overnight: Overnight, capsys: pytest.CaptureFixture[str]
) -> None:
    assert overnight("sumbit") == ExitCode.USAGE
    assert "sumbit" in capsys.readouterr().err


def test_a_failure_is_one_line_and_an_exit_code(
    overnight: Overnight, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.refuse("GET /v1/batches/batch_9", 404, "there is no batch 'batch_9'")
    assert overnight("watch", "batch_9") == ExitCode.FAILED
    assert capsys.readouterr().err == "overnight: there is no batch 'batch_9'\n"


def test_a_setting_out_of_its_limits_is_named(
    overnight: Overnight, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OVERNIGHT_PORT", "99999")
    assert overnight("batches") == ExitCode.FAILED
    assert "OVERNIGHT_PORT" in capsys.readouterr().err


def test_batches_are_listed(
    overnight: Overnight, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answer("GET /v1/batches", {"data": [batch_view(name="nightly")], "next": None})
    assert overnight("batches") == ExitCode.DONE
    shown = capsys.readouterr().out
    assert "batch_1" in shown
    assert "nightly" in shown
    assert "4/4" in shown
    assert "$0.0125" in shown


def test_batches_are_narrowed(overnight: Overnight, api: FakeApi) -> None:
    api.answer("GET /v1/batches", {"data": [], "next": None})
    words = ["--name", "nightly", "--state", "running", "--state", "queued"]
    assert overnight("batches", *words, "--metadata", "team=a=b") == ExitCode.DONE
    query = api.journal[-1].url.params
    assert query.get_list("state") == ["running", "queued"]
    assert (query["name"], query["metadata[team]"]) == ("nightly", "a=b")
    assert overnight("batches", "--metadata", "team") == ExitCode.USAGE


@pytest.mark.parametrize("what", ["cancel", "pause", "resume"])
def test_a_batch_is_steered(
    overnight: Overnight, api: FakeApi, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    api.answer(f"POST /v1/batches/batch_1/{what}", batch_view(state="cancelling"))
    assert overnight(what, "batch_1") == ExitCode.DONE
    assert "batch_1: cancelling" in capsys.readouterr().out


def test_a_retry_answers_with_the_new_batch(
    overnight: Overnight, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answer("POST /v1/batches/batch_1/retry", batch_view(id="batch_2", state="queued"))
    assert overnight("retry", "batch_1") == ExitCode.DONE
    assert capsys.readouterr().out == "batch_2\n"
