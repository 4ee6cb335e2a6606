"""The service behind its doors: requests wait in one queue, and workers answer them by the member the switch says."""

import asyncio
import logging
import time
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from evo_moo.deployment.model_folder import Array
from evo_moo.deployment.runners import Predict
from evo_moo.deployment.serving.inputs import RefusedError
from evo_moo.deployment.serving.metrics import Metrics
from evo_moo.deployment.serving.switch import Switch
from evo_moo.text import printable, shortened

_LOGGER = logging.getLogger(__name__)
"""For who runs the service; a client learns less."""


class Pool(Protocol):
    """The models that are loaded."""

    @property
    def loaded(self) -> Mapping[str, Predict]:
        """Names to models; what is dropped later stays usable here."""

    def is_behind(self, current: int) -> bool:
        """Whether other models should be loaded than are, for a member of the moment."""

    def follow(self, current: int) -> list[str]:
        """Drop and load models for a member of the moment; return why some cannot be loaded."""


@dataclass(frozen=True)
class Answer:
    """What a request gets.

    Attributes:
        model: Name of the model.
        outputs: What it gave, ``(n, ...)``.
        latency_ms: From the whole request to this.
        deadline_ms: What it should have been.
        why: Why this model; see ``Decision``.
    """

    model: str
    outputs: Array
    latency_ms: float
    deadline_ms: float
    why: str


@dataclass(frozen=True)
class _Asked:
    """A request that waits; ``since`` is a time of the performance counter, ``read_ms`` what its body took to read."""

    inputs: Array
    size: float
    since: float
    read_ms: float
    deadline_ms: float | None
    answer: "asyncio.Future[Answer]"


class Service:
    """Answers requests in the order of their arrival, as many at once as the switch has workers.

    Requests are not put together into batches. On one thread a call of a small network is a hundredth of what HTTP
    takes, a large one takes nearly as many times longer as it has more inputs, and the first would wait for the last.

    Args:
        switch: The switch.
        pool: The models that are loaded.
        executor: Threads that run models, one for each worker.
        metrics: What is counted.
        usual: Number of inputs of a usual request.
        most_waiting: How many requests may wait; what comes then is refused.
    """

    def __init__(
        self, switch: Switch, pool: Pool, executor: Executor, metrics: Metrics, *, usual: int, most_waiting: int
    ) -> None:
        self._switch, self._pool, self._executor, self._metrics, self._usual = switch, pool, executor, metrics, usual
        self._queue: asyncio.Queue[_Asked] = asyncio.Queue(most_waiting)
        self._work = 0.0
        self._chosen = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._epoch = time.time() - time.perf_counter()  # one clock, which never jumps
        self.is_ready = False

    def start(self) -> None:
        """Start the workers, in the loop that serves."""
        self._tasks = [asyncio.create_task(self._work_on()) for _ in range(self._switch.workers)]
        self._tasks.append(asyncio.create_task(self._keep_warm()))
        self.is_ready = True

    async def stop(self) -> None:
        """End the workers, when everything that waited is answered."""
        self.is_ready = False
        await self._queue.join()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def answer(self, inputs: Array, deadline_ms: float | None, since: float) -> Answer:
        """Answer a request.

        Args:
            inputs: Inputs ``(n, ...)`` as the models take them.
            deadline_ms: The request's own deadline.
            since: When the whole request was here, as ``time.perf_counter`` tells it.

        Raises:
            RefusedError: Too many wait, or the model fails.
        """
        size = max(1.0, len(inputs) / self._usual)
        self._switch.arrived(self._epoch + since, size)
        read_ms = (time.perf_counter() - since) * 1e3
        asked = _Asked(inputs, size, since, read_ms, deadline_ms, asyncio.get_running_loop().create_future())
        try:
            self._queue.put_nowait(asked)
        except asyncio.QueueFull:
            seconds = self._work * self._switch.members[0].typical_ms / 1e3 / self._switch.workers
            words = f"at most {self._queue.maxsize} requests may wait, and as many do; ask again later"
            raise RefusedError(503, words, headers={"Retry-After": str(max(1, round(seconds)))}) from None
        self._work += size
        return await asked.answer

    def observe(self) -> None:
        """Bring what is measured now, and not counted, up to date."""
        self._metrics.waiting.set(self._queue.qsize())
        self._metrics.rate.set(self._switch.rate(self._epoch + time.perf_counter()))
        self._metrics.moves.set(self._switch.n_moves)
        for i, member in enumerate(self._switch.members):
            self._metrics.current.labels(member.name).set(i == self._switch.current)

    async def _work_on(self) -> None:
        while True:
            asked = await self._queue.get()
            self._work -= asked.size
            try:
                if not asked.answer.cancelled():
                    found = await self._answered(asked)
                    if not asked.answer.cancelled():
                        asked.answer.set_result(found)
            except Exception as error:  # a model may fail in any way, and the next request is to be answered
                if not asked.answer.cancelled():
                    asked.answer.set_exception(error)
            finally:
                self._queue.task_done()

    async def _answered(self, asked: _Asked) -> Answer:
        start, loaded = time.perf_counter(), self._pool.loaded
        decision = self._switch.choose(
            self._epoch + start,
            waiting=self._work,
            waited_ms=(start - asked.since) * 1e3,
            size=asked.size,
            deadline_ms=asked.deadline_ms,
            loaded=loaded.keys(),
        )
        self._chosen.set()
        name = decision.member.name
        try:
            outputs = await asyncio.get_running_loop().run_in_executor(self._executor, loaded[name], asked.inputs)
        except Exception as error:  # each runtime fails in its own way
            _LOGGER.error("the model %s failed: %s", name, printable(shortened(str(error))))
            raise RefusedError(500, f"the model {name} must answer, but failed: {type(error).__name__}") from error
        if outputs.shape[:1] != asked.inputs.shape[:1] or not np.isfinite(outputs).all():
            raise RefusedError(500, f"the model {name} must give finite outputs for each input, but did not")
        end = time.perf_counter()
        # To read a request is work as to answer it is: where models are fast, it decides how many can be answered.
        self._switch.answered(self._epoch + end, name, ((end - start) * 1e3 + asked.read_ms) / asked.size)
        latency_ms = (end - asked.since) * 1e3
        self._metrics.decisions.labels(name, decision.why).inc()
        self._metrics.latency.labels(name).observe(latency_ms / 1e3)
        self._metrics.in_time.labels("yes" if latency_ms <= decision.deadline_ms else "no").inc()
        return Answer(name, outputs, latency_ms, decision.deadline_ms, decision.why)

    async def _keep_warm(self) -> None:
        """Load and drop models as the switch moves, beside the answers."""
        while True:
            await self._chosen.wait()
            self._chosen.clear()
            if self._pool.is_behind(self._switch.current):
                for reason in await asyncio.to_thread(self._pool.follow, self._switch.current):
                    _LOGGER.error("a model is served no more: %s", printable(shortened(reason)))
