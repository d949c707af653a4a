"""When a request is sent again.

Only one that was not carried out, or that the daemon knows again by its key, and never an exec without one.
"""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from sandkasten._core.request import Request
from sandkasten.exceptions import LimitExceededError, SandkastenAPIError

#: Seconds before the first try anew; the next ones wait twice as long each.
FIRST_PAUSE = 0.1
#: A daemon that wants more patience than this many seconds is not asked again.
LONGEST_PAUSE = 30.0


@dataclass(frozen=True)
class Retries:
    """How often a request is sent again at most."""

    most: int

    def after_failure(self, request: Request, attempt: int, failure: httpx.TransportError) -> float | None:
        """The seconds to wait before the next try, or None where the failure is final; `attempt` counts from 0."""
        was_not_sent = isinstance(failure, (httpx.ConnectError, httpx.ConnectTimeout))
        was_perhaps_lost = isinstance(failure, (httpx.NetworkError, httpx.RemoteProtocolError))
        may = (was_not_sent and request.is_idempotent) or (was_perhaps_lost and request.is_safe)
        return FIRST_PAUSE * 2**attempt if may and attempt < self.most else None

    def after_refusal(self, request: Request, attempt: int, refusal: SandkastenAPIError) -> float | None:
        """The same, where the daemon has answered."""
        if not isinstance(refusal, LimitExceededError) or request.is_patient or not request.is_idempotent:
            return None
        pause = refusal.retry_after
        return pause if pause is not None and pause <= LONGEST_PAUSE and attempt < self.most else None
