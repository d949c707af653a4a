"""Evaluation: 100 snippets of code, each in a session of its own, several at a time, some of them hostile.

    python3 examples/evaluate.py [SNIPPETS] [AT ONCE]

Each snippet gets a fresh sandbox and ends with a verdict: that it exited, or which limit it met. One that misbehaves costs the
others nothing but processor time.
"""

import asyncio
import sys
import time
from collections import Counter
from dataclasses import dataclass

from sandkasten import SandboxClient
from sandkasten.exceptions import CommandTimeoutError


@dataclass
class Snippet:
    name: str
    code: str
    expected: str
    timeout_ms: int = 30_000


@dataclass
class Outcome:
    snippet: Snippet
    verdict: str
    output: str
    create_ms: float
    exec_ms: float
    peak_mib: float

    @property
    def passed(self) -> bool:
        return self.output == self.snippet.expected or self.verdict in self.snippet.expected.split(" or ")


HOSTILE = [
    # Its first process fails as soon as it cannot fork, or is ended with all others when its time is up.
    Snippet("fork bomb", "import os\nwhile True: os.fork()", "pids_limit or timeout", 2_000),
    Snippet("endless loop", "while True: pass", "timeout", 2_000),
    Snippet("memory hog", "hoard = []\nwhile True: hoard.append(bytearray(1 << 24))", "oom"),
    Snippet("disk filler", "with open('/workspace/full', 'wb') as f:\n  while True: f.write(bytes(1 << 20))", "disk_full"),
    Snippet("suicide", "import os\nos.kill(os.getpid(), 11)", "signal"),
]


def snippets(number: int) -> list[Snippet]:
    """Sums of squares, as a model may have written them; every tenth is wrong, and the hostile ones are spread among them."""
    made = []
    for i in range(number - len(HOSTILE)):
        bound = f"{i}" if i % 10 == 9 else f"{i} + 1"
        made.append(Snippet(f"squares to {i}", f"print(sum(n * n for n in range({bound})))", f"{i * (i + 1) * (2 * i + 1) // 6}\n"))
    for place, snippet in enumerate(HOSTILE):
        made.insert(place * max(1, number // len(HOSTILE)), snippet)
    return made


async def evaluate(client: SandboxClient, snippet: Snippet) -> Outcome:
    started = time.perf_counter()
    # With a time to wait, a create that finds the host full waits for its turn instead of being refused.
    async with await client.create_session(labels={"example": "evaluate"}, wait_ms=60_000) as session:
        created = time.perf_counter()
        await session.write("snippet.py", snippet.code)
        try:
            result = await session.exec(argv=["python3", "/workspace/snippet.py"], timeout_ms=snippet.timeout_ms, shell="none")
            verdict, output, peak = result.reason or "", result.output, result.peak_memory_bytes or 0
        except CommandTimeoutError as error:
            verdict, output, peak = "timeout", error.output or "", error.details["peak_memory_bytes"]
        ended = time.perf_counter()
    return Outcome(snippet, verdict, output, (created - started) * 1e3, (ended - created) * 1e3, peak / 2**20)


def show_progress(done: int, total: int, running: int) -> None:
    """A bar on a terminal, and nothing elsewhere."""
    if sys.stderr.isatty():
        filled = 40 * done // total
        end = "\n" if done == total else ""
        print(f"\r[{'#' * filled}{'.' * (40 - filled)}] {done}/{total}, {running} running ", end=end, file=sys.stderr, flush=True)


async def main() -> int:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    at_once = int(sys.argv[2]) if len(sys.argv) > 2 else 8
    if number < len(HOSTILE) or at_once < 1:
        sys.exit(f"there are {len(HOSTILE)} hostile snippets alone, and one at least has to run at once")
    turns = asyncio.Semaphore(at_once)
    running, outcomes = 0, []

    async with SandboxClient() as client:

        async def take_turn(snippet: Snippet) -> None:
            nonlocal running
            async with turns:
                running += 1
                outcomes.append(await evaluate(client, snippet))
                running -= 1
                show_progress(len(outcomes), number, running)

        started = time.perf_counter()
        await asyncio.gather(*(take_turn(snippet) for snippet in snippets(number)))
        took = time.perf_counter() - started

    print(f"{'snippet':<16} {'verdict':<12} {'create ms':>9} {'exec ms':>8} {'peak MiB':>8}")
    for outcome in outcomes:
        if outcome.snippet in HOSTILE or not outcome.passed:
            figures = f"{outcome.create_ms:>9.1f} {outcome.exec_ms:>8.1f} {outcome.peak_mib:>8.1f}"
            print(f"{outcome.snippet.name:<16} {outcome.verdict:<12} {figures}{'' if outcome.passed else '  wrong'}")
    times = sorted(outcome.create_ms for outcome in outcomes)
    print(f"creates: median {times[len(times) // 2]:.1f} ms, slowest {times[-1]:.1f} ms")
    print("verdicts:", ", ".join(f"{name} {count}" for name, count in Counter(o.verdict for o in outcomes).most_common()))
    passed = sum(outcome.passed for outcome in outcomes)
    print(f"{passed} of {number} as expected, {at_once} at once, in {took:.1f} s ({number / took:.0f} a second)")
    contained = all(outcome.passed for outcome in outcomes if outcome.snippet in HOSTILE)
    return 0 if contained else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
