"""Waiting for an answer: a nudge says when to look, and the store is looked at now and then."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from anyio import CancelScope
from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from app.domain.errors import ConflictError, NotFoundError, UnavailableError
from app.endings import Endings
from app.pipeline.control import cancel
from app.pipeline.openai import ask
from app.pipeline.services import Services
from app.reports.openai_answers import Failure
from app.reports.openai_one import Answered, the_answer

#: The first look without a nudge, and how much later each further one is, up to the last.
_LOOK_FIRST_S, _LOOK_FACTOR, _LOOK_MAX_S = 0.1, 1.5, 2.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A job that was asked, and whose answer somebody waits for."""

    services: Services
    endings: Endings
    account_id: str
    batch_id: str
    endpoint: str

    async def answer(self) -> Answered | Failure:
        """Wait for it; when the time is over, what is not sent yet is not sent any more."""
        try:
            async with asyncio.timeout(ask.WAIT_MAX_S), self._given_up():
                return await self._wait()
        except TimeoutError:
            return Failure("timeout", f"there was no answer within {ask.WAIT_MAX_S} s", 504)

    async def answer_unless_gone(self, request: Request) -> Answered | Failure:
        """Wait for it, but no longer than the client does.

        Raises:
            ClientDisconnect: the client is gone; what is not sent yet is not sent any more.
        """
        waiting = asyncio.ensure_future(self.answer())
        leaving = asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                raise ClientDisconnect
            return waiting.result()
        finally:
            for task in (waiting, leaving):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _wait(self) -> Answered | Failure:
        look_s = _LOOK_FIRST_S
        with self.endings.expect(self.batch_id) as ended:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(look_s):
                        await ended.wait()
                look_s = min(look_s * _LOOK_FACTOR, _LOOK_MAX_S)
                found = await self._look()
                if found is not None:
                    return found
                ended.clear()

    async def _look(self) -> Answered | Failure | None:
        try:
            return await run_in_threadpool(self._read)
        except UnavailableError:
            return None

    def _read(self) -> Answered | Failure | None:
        with self.services.store.read() as session:
            return the_answer(session, self.batch_id, self.endpoint)

    @asynccontextmanager
    async def _given_up(self) -> AsyncIterator[None]:
        """Cancel the job if the block does not come to its end."""
        try:
            yield
        except BaseException:
            with CancelScope(shield=True), suppress(ConflictError, NotFoundError, UnavailableError):
                await run_in_threadpool(cancel, self.services, self.account_id, self.batch_id)
            raise


async def _gone(request: Request) -> None:
    """Returns when the client is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
