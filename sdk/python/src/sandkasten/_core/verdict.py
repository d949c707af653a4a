"""Why a command or process ended."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """Why something ended, what it used, and what to do next. Fields are None where they do not apply."""

    reason: str | None = None
    """`exit`, `signal`, `timeout`, `oom`, `pids_limit`, `disk_full`, `cancelled` or `sandbox_lost`"""

    signal: str | None = None
    """With `signal` and `oom`: which signal, such as `SIGSEGV`"""

    limit: int | None = None
    """The limit that was met, in milliseconds, bytes or processes"""

    used: int | None = None
    """How much of it was used"""

    cpu_usec: int | None = None
    """The processor time of its processes, in microseconds"""

    peak_memory_bytes: int | None = None
    """The most memory that the session used meanwhile, in bytes"""

    hint: str | None = None
    """What to do next, in one line, for a person or a language model; None after success"""


class HasVerdict:
    """Gives the parts of a verdict by their own names."""

    verdict: Verdict

    @property
    def reason(self) -> str | None:
        """Why it ended: see Verdict."""
        return self.verdict.reason

    @property
    def signal(self) -> str | None:
        """Which signal ended it."""
        return self.verdict.signal

    @property
    def hint(self) -> str | None:
        """What to do next, in one line; None after success."""
        return self.verdict.hint

    @property
    def cpu_usec(self) -> int | None:
        """The processor time of its processes, in microseconds."""
        return self.verdict.cpu_usec

    @property
    def peak_memory_bytes(self) -> int | None:
        """The most memory that the session used meanwhile, in bytes."""
        return self.verdict.peak_memory_bytes
