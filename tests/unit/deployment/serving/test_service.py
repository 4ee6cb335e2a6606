"""What the queue and the workers do when they are full, and when a model fails."""

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("prometheus_client")

from evo_moo.deployment.model_folder import Array
from evo_moo.deployment.runners import Predict
from evo_moo.deployment.serving.inputs import RefusedError
from evo_moo.deployment.serving.members import Member
from evo_moo.deployment.serving.metrics import Metrics
from evo_moo.deployment.serving.service import Service
from evo_moo.deployment.serving.switch import Switch

ONE = Member("one", 0.9, (1.0,))


class Loaded:
    """A pool that has one model."""

    def __init__(self, predict: Predict) -> None:
        self.loaded: Mapping[str, Predict] = {"one": predict}

    def is_behind(self, current: int) -> bool:
        return False

    def follow(self, current: int) -> list[str]:
        raise NotImplementedError


def service_of(predict: Predict, executor: ThreadPoolExecutor, most_waiting: int) -> Service:
    return Service(Switch([ONE], 50), Loaded(predict), executor, Metrics(), usual=1, most_waiting=most_waiting)


def test_a_full_queue_refuses_and_loses_nothing() -> None:
    running, goes_on = threading.Event(), threading.Event()

    def predict(inputs: Array) -> Array:
        running.set()
        goes_on.wait()
        return inputs * 2

    async def ask(executor: ThreadPoolExecutor) -> list[float]:
        service = service_of(predict, executor, most_waiting=3)
        service.start()
        asked = [asyncio.create_task(service.answer(np.ones((1, 1)), None, 0.0))]
        await asyncio.to_thread(running.wait)  # one is with the worker, and three wait
        asked += [asyncio.create_task(service.answer(np.full((1, 1), i), None, 0.0)) for i in range(2, 5)]
        await asyncio.sleep(0)
        with pytest.raises(RefusedError, match="at most 3 requests may wait") as caught:
            await service.answer(np.ones((1, 1)), None, 0.0)
        assert caught.value.status == 503 and int(caught.value.headers["Retry-After"]) >= 1
        stopped = asyncio.create_task(service.stop())
        goes_on.set()
        await stopped
        return [float(answer.outputs[0, 0]) for answer in await asyncio.gather(*asked)]

    with ThreadPoolExecutor(1) as executor:
        assert asyncio.run(ask(executor)) == [2, 4, 6, 8]


def test_a_model_that_fails_harms_no_other_request() -> None:
    def predict(inputs: Array) -> Array:
        if inputs[0, 0] < 0:
            raise RuntimeError("secret")
        return np.where(inputs < 1, np.nan, inputs - 1)

    async def ask(executor: ThreadPoolExecutor) -> list[object]:
        service = service_of(predict, executor, most_waiting=9)
        service.start()
        asked = [service.answer(np.full((1, 1), value), None, 0.0) for value in (-1.0, 0.5, 2.0)]
        return list(await asyncio.gather(*asked, return_exceptions=True))

    with ThreadPoolExecutor(1) as executor:
        failed, not_finite, answered = asyncio.run(ask(executor))
    assert "must answer, but failed: RuntimeError" in str(failed) and "secret" not in str(failed)
    assert "must give finite outputs" in str(not_finite)
    assert answered.outputs.tolist() == [[1.0]]
