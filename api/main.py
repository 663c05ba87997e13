"""The HTTP API as one application: `uvicorn --factory api.main:create_app`."""

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from importlib.metadata import version

import structlog
from fastapi import FastAPI

from api import docs, errors, health, metrics, openapi
from api.admission import Admission
from api.middleware import RequestMiddleware
from api.openai import router as openai_v1
from api.openai.errors import FACADE as OPENAI
from api.streams import Streams
from api.v1 import router as v1
from app.db import Commit
from app.endings import Endings
from app.limits.link import Link, connect
from app.limits.requests import SharedRequests
from app.logs import configure_logging
from app.migrations import check_schema
from app.pipeline.services import Services, build_services
from app.providers.senders import SenderSet
from app.settings import load_settings
from app.vault.custody import check_vault
from app.vault.lanes import ensure_platform_lanes

log = structlog.get_logger(__name__)

DESCRIPTION = (
    "A self-hosted job queue for multi-model LLM evaluation. Fields are added, never renamed; "
    "of a name that is given twice in one JSON object the last counts."
)
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(services: Services | None = None) -> FastAPI:
    """The application.

    Args:
        services: what it works with; without, what the environment says, checked at the start.
    """
    app = FastAPI(
        title="Overnight",
        version=version("overnight"),
        description=DESCRIPTION,
        lifespan=_lifespan(services),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.add_middleware(RequestMiddleware)
    errors.install(app, [OPENAI])
    openapi.install(app)
    app.include_router(health.router)
    app.include_router(metrics.router)
    app.include_router(docs.router)
    app.include_router(v1)
    app.include_router(openai_v1)
    return app


def _lifespan(given: Services | None) -> Lifespan:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = given or _start()
        app.state.services = services
        app.state.senders = SenderSet(services.settings.trusted_hosts)
        app.state.endings = Endings(services.settings.broker_url)
        app.state.streams = Streams()
        link = Link(connect(services.settings.broker_url))
        app.state.admission = Admission(services, SharedRequests(link))
        try:
            async with app.state.endings.listening():
                yield
        finally:
            await link.close()
            await app.state.senders.close()
            if given is None:
                services.store.close()

    return lifespan


def _start() -> Services:
    """Services as the environment describes them, if they can work.

    Raises:
        SetupError: a setting, the schema or the master key is not as it must be.
        UnavailableError: the store cannot be reached.
    """
    settings = load_settings()
    configure_logging(settings)
    with ExitStack() as undo:
        services = build_services(settings)
        undo.callback(services.store.close)
        with services.store.read() as session:
            services.store.now(session)
        check_schema(services.store.engine)
        check_vault(services.store, services.vault)
        with services.store.transaction(Commit.PLATFORM_LANES) as tx:
            ensure_platform_lanes(tx, settings)
        undo.pop_all()
    # What was imported stays: a collection that looks through all of it takes as long as to read
    # twenty thousand lines.
    gc.collect()
    gc.freeze()
    log.info("api_started")
    return services
