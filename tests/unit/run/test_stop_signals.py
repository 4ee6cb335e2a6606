import os
import signal
import threading
import time

import pytest

from evo_moo.errors import StopNow
from evo_moo.run.stop_signals import SIGNALS, StopRequests


def send(number=signal.SIGTERM):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_noted_and_the_second_acts(number):
    before = [signal.getsignal(n) for n in SIGNALS]
    with pytest.raises(StopNow), StopRequests() as requests:
        assert requests.reason == ""
        send(number)
        assert requests.reason == signal.Signals(number).name
        send()
    assert [signal.getsignal(n) for n in SIGNALS] == before


def test_signal_interrupts_work_that_catches_every_exception():
    def work():
        try:
            send()
            threading.Event().wait()
        except Exception:
            return "caught"

    with StopRequests() as requests:
        assert requests.interruptible(lambda: "done", "left") == "done"
        assert requests.interruptible(work, "left") == "left"
        assert requests.interruptible(lambda: "begun", "left") == "left"


def test_the_deadline_leaves_work_too(monkeypatch):
    # Short sleeps: a signal just before a long one would not end it, and an event may be left with its lock undone.
    working = threading.Lock()
    working.acquire()

    class OnceWorking(threading.Timer):
        def run(self):
            working.acquire()
            self.function()

    def work():
        working.release()
        while True:
            time.sleep(0.001)

    monkeypatch.setattr("threading.Timer", OnceWorking)
    with StopRequests(time.time() + 3600) as requests:
        assert requests.interruptible(work, "left") == "left"
        assert requests.reason.startswith("the deadline 2")


def test_deadline_is_known_outside_the_main_thread():
    reasons = []

    def follow():
        for deadline in (time.time() - 1, time.time() + 1000, None):
            with StopRequests(deadline) as requests:
                reasons.append(requests.reason[:12])

    thread = threading.Thread(target=follow)
    thread.start()
    thread.join()
    assert reasons == ["the deadline", "", ""]
