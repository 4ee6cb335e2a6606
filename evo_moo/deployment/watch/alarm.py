"""An alarm: what is no longer as promised, since when, by how much, and how sure that is."""

import datetime
import json
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from typing import Any

from evo_moo.errors import UsageError

WEBHOOK_LIMIT_S = 5.0


@dataclass(frozen=True)
class Alarm:
    """One alarm.

    Attributes:
        what: The metric, or what has drifted.
        part: The group or the column; empty where there is one only.
        time: When it was raised, ISO 8601.
        since: From when on the evidence had gathered.
        n_events: Number of events since then.
        promised: What was promised, in words.
        expected: The promise as a number: a limit, or the mean until ``since``.
        measured: The mean since then.
        off: By how much it differs.
        evidence_months: While nothing is wrong, so much comes less than once in so many months.
        needed_months: What an alarm takes.
        test: How it was tested, in words.
        model: Name of the model.
    """

    what: str
    part: str
    time: str
    since: str
    n_events: int
    promised: str
    expected: float
    measured: float
    off: float
    evidence_months: float
    needed_months: float
    test: str
    model: str

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"kind": "alarm", **asdict(self)}

    @property
    def words(self) -> str:
        """The alarm as a sentence."""
        part = f" of {self.part}" if self.part else ""
        return (
            f"{self.what}{part} since {self.since}: promised {self.promised}; {self.measured:.4g} where "
            f"{self.expected:.4g} is expected, over {self.n_events:,} events"
        )


def iso(seconds: float) -> str:
    """Return a time as ISO 8601 in UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")


def checked_webhook(url: str) -> str:
    """Return an address that alarms can be sent to.

    Raises:
        UsageError: It is none.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"`--webhook` must be an address with http:// or https://, but is {url!r}")
    return url


def send(alarm: Alarm, url: str, limit_s: float = WEBHOOK_LIMIT_S) -> str:
    """Send an alarm as JSON by POST; return what failed in words, or nothing."""
    body = json.dumps(alarm.to_json()).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "evo-moo"}
    try:
        request = urllib.request.Request(url, body, headers, method="POST")
        with urllib.request.urlopen(request, timeout=limit_s):
            return ""
    except (OSError, ValueError, urllib.error.URLError) as error:
        return f"`--webhook` must take alarms at {url}, but does not: {error}; the alarm stands all the same"
    except Exception as error:  # whatever answers there may speak no HTTP
        return f"`--webhook` must take alarms at {url}, but answers no HTTP: {error}; the alarm stands all the same"
