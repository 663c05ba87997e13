"""The embedded Valkey is reachable by nobody else, keeps nothing, and clears up after a crash."""

import os
from pathlib import Path

import pytest

from app.domain.errors import SetupError
from workers.supervisor import valkey as module
from workers.supervisor.valkey import SOCKET_PATH_BYTES_MAX, EmbeddedValkey


def options_of(valkey: EmbeddedValkey) -> dict[str, str]:
    words = valkey.program().command[1:]
    return dict(zip(words[::2], words[1::2], strict=True))


def test_it_listens_on_a_socket_of_ours_and_on_no_port(tmp_path: Path) -> None:
    options = options_of(EmbeddedValkey(tmp_path))
    assert options["--port"] == "0"
    assert options["--unixsocket"] == str(tmp_path / "valkey.sock")
    assert options["--unixsocketperm"] == "700"


def test_it_writes_nothing_down_and_drops_nothing(tmp_path: Path) -> None:
    options = options_of(EmbeddedValkey(tmp_path))
    assert (options["--save"], options["--appendonly"]) == ("", "no")
    assert options["--maxmemory-policy"] == "noeviction"


def test_a_path_too_long_for_a_socket_gets_a_short_one_of_our_own(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * SOCKET_PATH_BYTES_MAX)
    valkey = EmbeddedValkey(deep)
    assert len(os.fsencode(valkey.socket)) <= SOCKET_PATH_BYTES_MAX
    assert valkey.socket.parent.stat().st_mode & 0o777 == 0o700
    assert valkey.url == f"unix://{valkey.socket}"
    valkey.close()
    assert not valkey.socket.parent.exists()


def test_what_is_left_of_another_is_cleared_away_and_our_own_place_is_kept(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * SOCKET_PATH_BYTES_MAX)
    left, ours = EmbeddedValkey(deep), EmbeddedValkey(deep)
    ours.clear_the_way()
    assert ours.socket.parent.exists()
    ours.clear_the_way(left.url)
    assert ours.socket.parent.exists()
    assert not left.socket.parent.exists()
    ours.close()


def test_closing_removes_no_folder_that_is_not_its_own(tmp_path: Path) -> None:
    EmbeddedValkey(tmp_path).close()
    assert tmp_path.exists()


def test_a_process_that_only_bears_the_number_of_an_old_one_is_left_alone(tmp_path: Path) -> None:
    valkey = EmbeddedValkey(tmp_path)
    valkey.pid_file.write_text(str(os.getpid()))
    valkey.clear_the_way()
    assert not valkey.pid_file.exists()


@pytest.mark.parametrize("rest", ["", "no number"])
def test_a_broken_pid_file_does_no_harm(tmp_path: Path, rest: str) -> None:
    valkey = EmbeddedValkey(tmp_path)
    valkey.pid_file.write_text(rest)
    valkey.clear_the_way()
    assert not valkey.answers()


def test_a_machine_that_has_no_binary_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.platform, "machine", lambda: "abacus")
    with pytest.raises(SetupError, match="REDIS_URL"):
        EmbeddedValkey(tmp_path).program()
