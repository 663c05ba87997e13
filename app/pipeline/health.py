"""health: whether this process can do its work, and what it has to do without."""

from dataclasses import dataclass, field

import structlog

from app.domain.errors import AppError, UnavailableError
from app.migrations import check_schema
from app.pipeline.room import rooms
from app.pipeline.services import Services
from app.queue import look_at_broker

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Readiness:
    """What is not as it should be. Without a broker work goes on, found by polling."""

    ready: bool
    problem: str | None = None
    degraded: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def readiness(services: Services) -> Readiness:
    """Look at the store, its schema, the disks and the broker."""
    problem = _store_problem(services)
    if problem is not None:
        return Readiness(ready=False, problem=problem)
    warnings = [room.warning for room in rooms(services.settings) if room.is_scarce]
    broker = look_at_broker(services.settings.broker_url)
    if broker is None:
        return Readiness(ready=True, degraded=["broker"], warnings=warnings)
    if broker.eviction_policy not in {None, "noeviction"}:
        warnings.append(
            f"the broker's maxmemory-policy is {broker.eviction_policy}: set noeviction, or hints "
            "are dropped and work waits for the next poll"
        )
    return Readiness(ready=True, warnings=warnings)


def _store_problem(services: Services) -> str | None:
    try:
        with services.store.read() as session:
            services.store.now(session)
        check_schema(services.store.engine)
    except UnavailableError:
        return "the store cannot be reached"
    except AppError as error:
        return error.message
    except Exception as error:  # noqa: BLE001 - whatever it is, we are not ready
        log.warning("not_ready", error=type(error).__name__)
        return "the store cannot be read"
    return None
