"""One run: a place, a load, a schedule of faults, and the verdict when all has come to rest."""

import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import httpx
import psutil
from sqlmodel import col, func, select

from app.db import Store
from app.models import Batch, Delivery, Worker
from app.pipeline.services import register_simulated_prices
from tests.chaos.history import Loss, Losses, Verdict, judge
from tests.chaos.load import Load
from tests.chaos.places import Place, grant_credits, kill, terminate_group
from tests.chaos.provider import ChaosProvider, ChaosReceiver
from tests.chaos.schedule import Event, Fault

#: How long all may take to come to rest once nothing goes wrong any more.
REST_MAX_S = 240.0
_TICK_S = 0.1
#: What ends a process.
_ENDS = frozenset({Fault.KILL, Fault.TERM, Fault.TERM_GROUP})


def say(text: str) -> None:
    """Progress, for whoever watches."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


@dataclass
class Chaos:
    """Does the faults of a schedule to a place."""

    place: Place
    losses: list[Loss] = field(default_factory=list)
    #: From when until when somebody was stopped, and since when somebody is.
    stops: list[tuple[float, float]] = field(default_factory=list)
    stopped: dict[str, float] = field(default_factory=dict)
    #: When everything was killed.
    outages: list[float] = field(default_factory=list)
    done: Counter[Fault] = field(default_factory=Counter)

    def run(self, events: Sequence[Event], seconds: float) -> None:
        """Everything in its time, or as soon after as it can be."""
        began = time.monotonic()
        for event in events:
            time.sleep(max(0.0, began + event.at_s - time.monotonic()))
            say(f"{self.place.name} {event}")
            self._do(event)
            self.done[event.fault] += 1
        time.sleep(max(0.0, began + seconds - time.monotonic()))

    def _do(self, event: Event) -> None:
        acts: dict[Fault, Callable[[list[psutil.Process]], object]] = {
            Fault.KILL: kill,
            Fault.STOP: lambda family: [one.suspend() for one in family],
            Fault.CONTINUE: lambda family: [one.resume() for one in family],
            Fault.TERM: lambda family: family[0].terminate(),
            Fault.TERM_GROUP: lambda family: terminate_group(family[0]),
        }
        self._note_stop(event)
        if event.fault is Fault.ALL or (event.target == "up" and event.fault in _ENDS):
            self.outages.append(time.time())
        with suppress(psutil.Error, OSError):
            if event.fault in acts:
                family = self.place.family(event.target)
                if event.fault is not Fault.CONTINUE:
                    self._note_loss(family, str(event))
                if family:
                    acts[event.fault](family)
            else:
                self._do_to_all(event)
        if event.fault not in {Fault.STOP, Fault.CONTINUE}:
            time.sleep(event.away_s)
            self.place.revive()

    def _do_to_all(self, event: Event) -> None:
        fault = event.fault
        if fault is Fault.ALL:
            everybody = [one for name in self.place.targets for one in self.place.family(name)]
            self._note_loss(everybody, str(event))
            self.place.kill_all()
        elif fault is Fault.STORE:
            self.place.kill_store()
        elif fault is Fault.BROKER:
            self.place.kill_broker()
        else:
            with suppress(Exception):  # it may be away just now
                self.place.flush()

    def _note_stop(self, event: Event) -> None:
        """From when until when somebody is stopped: until he goes on, or is killed."""
        if event.fault is Fault.STOP:
            self.stopped.setdefault(event.target, time.time())
        elif event.fault in {Fault.KILL, Fault.CONTINUE, Fault.ALL}:
            names = [event.target] if event.target in self.stopped else []
            if event.fault is Fault.ALL or event.target == "up":  # and all that descends from it
                names = list(self.stopped)
            self.stops += [(self.stopped.pop(name), time.time()) for name in names]

    def _note_loss(self, family: Sequence[psutil.Process], how: str) -> None:
        store = Store(self.place.store_url)
        pids = [process.pid for process in family]
        with suppress(Exception), store.read() as session:
            ids = session.exec(select(Worker.id).where(col(Worker.pid).in_(pids))).all()
            if ids:
                self.losses.append(Loss(ids, time.time(), how))
        store.close()

    def settle(self) -> None:
        """No more of it: everything runs again, and is awake."""
        self.place.revive()
        for target in self.place.targets:
            for process in self.place.family(target):
                with suppress(psutil.Error):
                    process.resume()
        self.stops += [(since, time.time()) for since in self.stopped.values()]
        self.place.revive()


def run(
    place: Place,
    events: Sequence[Event],
    seconds: float,
    parts: tuple[ChaosProvider, ChaosReceiver],
) -> tuple[Verdict, Chaos]:
    """Load and faults for so many seconds, then rest, then the verdict."""
    provider, receiver = parts
    register_simulated_prices()
    grant_credits(place)
    setting = {"api_key": "sk-made-up-own-key", "base_url": provider.url("own")}
    place.client.put("/v1/settings/keys/custom:own", json=setting).raise_for_status()
    load, chaos = Load(place.client, provider.seed, receiver.url), Chaos(place)
    load.start()
    chaos.run(events, seconds)
    chaos.settle()
    load.stop()
    say(f"{place.name} rests: {len(load.accepted)} batches, {dict(load.statuses)}")
    _resume_all(load)
    store = Store(place.store_url)
    try:
        if not _rest(store):
            load.problems.append("it did not come to rest")
        return judge(store, load, parts, Losses(chaos.losses, chaos.stops, chaos.outages)), chaos
    finally:
        store.close()


def _resume_all(load: Load) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with suppress(httpx.HTTPError):
            load.resume_all()
            return
        time.sleep(1)


def _rest(store: Store) -> bool:
    """Wait until nothing is open; whether that came to be."""
    until = time.monotonic() + REST_MAX_S
    told_at = 0.0
    while time.monotonic() < until:
        with store.read() as session:
            left = [
                session.exec(
                    select(func.count()).select_from(table).where(col(table.closed_at).is_(None))
                ).one()
                for table in (Batch, Delivery)
            ]
        if not any(left):
            return True
        if time.monotonic() - told_at > 10:
            told_at = time.monotonic()
            say(f"  {left[0]} batches and {left[1]} deliveries are open")
        time.sleep(_TICK_S)
    return False


signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that all is cleaned up
