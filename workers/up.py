"""Everything on this machine: `overnight up`, and `python -m workers.up`."""

import errno
import http.client
import os
import socket
import sys
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress

import structlog

from app.db import Store
from app.domain.errors import AppError, SetupError
from app.logs import configure_logging
from app.migrations import upgrade
from app.pipeline.accounts import API_KEY_FILE, ensure_local_account
from app.settings import Settings, child_environment, load_settings
from app.vault.custody import check_vault, load_vault
from workers.supervisor.children import Child, Program
from workers.supervisor.data_dir import DataDirLock
from workers.supervisor.signals import Signals
from workers.supervisor.supervisor import Supervisor
from workers.supervisor.valkey import EmbeddedValkey

log = structlog.get_logger(__name__)

#: Told to end when its standard input does, for a program that starts it as a child.
LEASHED = "--leashed"
START_MAX_S = 120.0
#: An API that never answered and ended so often will not get better.
START_FAILURES_MAX = 3
_VALKEY_START_S = 10.0
_POLL_S = 0.1
_HEALTH_TIMEOUT_S = 0.5
_BACKLOG = 2048
_STDIN = 0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound to


def main() -> None:
    """Run until told to stop."""
    try:
        code = run(load_settings(), leash=_STDIN if LEASHED in sys.argv[1:] else None)
    except AppError as error:
        sys.stderr.write(f"overnight up: {error.message}\n")
        code = 1
    sys.exit(code)


def run(settings: Settings, leash: int | None = None) -> int:
    """Run a whole system in the data directory until told to stop; its exit code.

    Raises:
        SetupError: the directory is another's, the port is taken, or a setting is wrong.
    """
    configure_logging(settings)
    with ExitStack() as stack:
        signals = stack.enter_context(Signals(leash))
        home = stack.enter_context(DataDirLock(settings.data_dir))
        listener = stack.enter_context(closing(listen(settings.host, settings.port)))
        _prepare(settings)
        if signals.is_stopping:
            return 0
        valkey = None
        if settings.redis_url is None:
            valkey = EmbeddedValkey(settings.data_dir)
            stack.callback(valkey.close)
            valkey.clear_the_way(str(home.previous.get("broker_url", "")))
        system = _System(settings, signals, listener, valkey)
        home.note(pid=os.getpid(), url=system.url, broker_url=valkey.url if valkey else "")
        return system.run()


def listen(host: str, port: int) -> socket.socket:
    """The API's socket. It is ours, so that no connection is refused while the API restarts.

    Raises:
        SetupError: it cannot be had.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server((str(address[0]), port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SetupError(
                f"port {port} of {host} is taken: stop what listens there, or set OVERNIGHT_PORT "
                "to another (0 is any that is free)"
            ) from None
        raise SetupError(f"cannot listen on {host}, port {port}: {error.strerror}") from None


def _prepare(settings: Settings) -> None:
    """Bring the store to this version, with its keys and its local account."""
    with closing(Store(settings.store_url)) as store:
        upgrade(store.engine)
        vault = load_vault(settings)
        check_vault(store, vault)
        account = ensure_local_account(store, vault, settings.data_dir)
    if account.was_made and account.api_key is not None:
        _say(f"The local account's API key, shown this once: {account.api_key.reveal()}")
        _say(f"It is kept in {settings.data_dir / API_KEY_FILE}, where the command line finds it.")


class _System:
    """The processes of one machine, and how they are wired together."""

    def __init__(
        self,
        settings: Settings,
        signals: Signals,
        listener: socket.socket,
        valkey: EmbeddedValkey | None,
    ) -> None:
        self._settings = settings
        self._signals = signals
        self._listener = listener
        self._valkey = valkey
        self._port: int = listener.getsockname()[1]
        self._supervisor = Supervisor(signals, settings.grace_s)

    @property
    def url(self) -> str:
        """Where the API is."""
        host = self._settings.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self._port}"

    def run(self) -> int:
        """Start all, say where we listen, keep all running, and take all down."""
        code = 1
        try:
            api = self._start()
            if self._is_up(api):
                _say(f"Overnight listens on {self.url} (data in {self._settings.data_dir})")
                self._supervisor.run()
            code = 0 if self._signals.is_stopping else 1
        finally:
            # Nobody new is let in, rather than kept waiting for an API that has ended.
            self._listener.close()
            clean = self._supervisor.stop()
        return code if clean else 1

    def _start(self) -> Child:
        environment = child_environment(
            OVERNIGHT_DATA_DIR=str(self._settings.data_dir), OVERNIGHT_PORT=str(self._port)
        )
        if self._valkey is not None:
            environment["REDIS_URL"] = self._valkey.url
            self._supervisor.start(self._valkey.program(), stop_last=True)
            if not self._supervisor.run_until(self._valkey.answers, _POLL_S, _VALKEY_START_S):
                log.warning(
                    "valkey_not_ready", advice="work goes on, found in the store by polling"
                )
        descriptor = self._listener.fileno()
        api = ("api.cli", "api", "--fd", str(descriptor))
        child = self._supervisor.start(_python("api", *api, e=environment, fds=(descriptor,)))
        for number in range(1, self._settings.worker_processes + 1):
            self._supervisor.start(_python(f"worker-{number}", "workers.worker", e=environment))
        self._supervisor.start(_python("scheduler", "workers.scheduler", e=environment))
        return child

    def _is_up(self, api: Child) -> bool:
        """Wait until the API answers; False if it will not, or if we are told to stop."""

        def is_decided() -> bool:
            return api.failures >= START_FAILURES_MAX or self._answers()

        is_decided_in_time = self._supervisor.run_until(is_decided, _POLL_S, START_MAX_S)
        if self._signals.is_stopping:
            return False
        if is_decided_in_time and api.failures < START_FAILURES_MAX:
            return True
        sys.stderr.write("overnight up: the API does not start; its log is above\n")
        return False

    def _answers(self) -> bool:
        host = _EVERYWHERE.get(self._settings.host, self._settings.host)
        connection = http.client.HTTPConnection(host, self._port, timeout=_HEALTH_TIMEOUT_S)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _python(
    name: str, module: str, *arguments: str, e: Mapping[str, str], fds: tuple[int, ...] = ()
) -> Program:
    """A module of ours as a program. -P: never a module of the folder it is started in."""
    return Program(name, [sys.executable, "-P", "-m", module, *arguments], e, fds)


def _say(line: str) -> None:
    """Tell who started us; that nobody listens is no reason to stop."""
    with suppress(OSError):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
