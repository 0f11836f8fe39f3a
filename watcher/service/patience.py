"""Patience with disks: a question that a disk does not answer is given up, and holds up nobody else.

A network mount whose server is away blocks every call on it, for ever and beyond any cancelling. So each question is
asked in a thread of its own, which is left behind when no answer comes; and each disk has one question open at most,
so a dead mount costs one thread and not one a second.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = TypeVar("Answer")


def ask(call: Callable[..., Answer], *arguments: Any) -> asyncio.Future[Answer]:
    """Run a blocking call in a thread of its own; nobody waits for the thread when the program ends."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Answer] = loop.create_future()
    future.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may want it any more

    def hand_over(answer: concurrent.futures.Future[Answer]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(lambda: None if future.done() else _settle(future, answer))

    _asked(call, *arguments).add_done_callback(hand_over)
    return future


def answer(limit_sec: float, call: Callable[..., Answer], *arguments: Any) -> Answer:
    """Do the same in a thread without an event loop, and wait. Raises TimeoutError when there is no answer in time."""
    return _asked(call, *arguments).result(limit_sec)


async def within(limit_sec: float, call: Callable[..., Answer], *arguments: Any) -> Answer:
    """Give the answer of a blocking call. Raises TimeoutError when there is none in time."""
    return await asyncio.wait_for(ask(call, *arguments), limit_sec)


class Patience:
    """Asks one disk one thing at a time."""

    def __init__(self, limit_sec: float) -> None:
        self._limit_sec = limit_sec
        self._open: asyncio.Future[Any] | None = None
        self._turn = asyncio.Lock()

    async def ask(self, call: Callable[..., Answer], *arguments: Any) -> Answer:
        """Give the answer of a blocking call. Raises TimeoutError when this question, or one before it, has none in time."""
        async with self._turn:
            if self._open is not None:
                await self._wait(self._open)  # what it answers nobody wants any more
            question = ask(call, *arguments)
            self._open = question
            await self._wait(question)
            self._open = None
            return question.result()

    async def _wait(self, question: asyncio.Future[Any]) -> None:
        done, _ = await asyncio.wait({question}, timeout=self._limit_sec)
        if not done:
            raise TimeoutError


def _asked(call: Callable[..., Answer], *arguments: Any) -> concurrent.futures.Future[Answer]:
    future: concurrent.futures.Future[Answer] = concurrent.futures.Future()

    def run() -> None:
        try:
            future.set_result(call(*arguments))
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            future.set_exception(error)

    threading.Thread(target=run, name="disk", daemon=True).start()
    return future


def _settle(future: asyncio.Future[Answer], answer: concurrent.futures.Future[Answer]) -> None:
    if (error := answer.exception()) is not None:
        future.set_exception(error)
    else:
        future.set_result(answer.result())
