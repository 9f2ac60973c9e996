"""Times of contenders that take turns, and the table that shows them."""

import functools
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

Show = Callable[[float], str]


class Missing(Exception):
    """A peer that cannot be had, and why."""


@dataclass(frozen=True)
class Contender:
    """Who is measured: `measure` returns seconds; `beside` names the row it is compared with."""

    name: str
    measure: Callable[[], float]
    beside: str = ""


def repeated(make: Callable[[], Callable[[], object]], times: int = 1) -> Callable[[], float]:
    """Return what measures one call of what `make` returns, as the mean of so many calls.

    It is made at the first measurement, and called once before that counts.
    """

    @functools.cache
    def ready() -> Callable[[], object]:
        call = make()
        call()
        return call

    def measure() -> float:
        call = ready()
        began = perf_counter()
        for _ in range(times):
            call()
        return (perf_counter() - began) / times

    return measure


def progress(text: str) -> None:
    """Show one line on a terminal, in the place of the one before."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text[:100]}", end="", file=sys.stderr, flush=True)


def milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.2f} ms"


def threaded(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def whole_seconds(seconds: float) -> str:
    return f"{seconds:.2f} s"


@dataclass
class Table:
    """One part's figures: `show` says a time, and is all that a reader sees of it."""

    title: str
    show: Show = whole_seconds
    rate: bool = False  # what is shown grows as the time shrinks
    rows: list[tuple[str, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    medians: dict[str, float] = field(default_factory=dict)

    def measure(self, contenders: Sequence[Contender], repeats: int) -> None:
        """Let all contenders run once a round, and add a row for each.

        What slows the machine for a while slows each of them. A missing one becomes a note.
        """
        seconds: dict[str, list[float]] = {one.name: [] for one in contenders}
        for number in range(repeats):
            for one in contenders:
                if one.name not in seconds:
                    continue
                progress(f"{self.title}: round {number + 1} of {repeats}, {one.name}")
                try:
                    seconds[one.name].append(one.measure())
                except Missing as missing:
                    del seconds[one.name]
                    self.notes.append(f"Left out: {one.name}: {missing}")
        progress("")
        for one in contenders:
            if one.name in seconds:
                self.add(one.name, seconds[one.name], one.beside)

    def add(self, name: str, seconds: Sequence[float], beside: str = "") -> None:
        """Add a row; `beside` names the row above that its time is compared with."""
        self.medians[name] = statistics.median(seconds)
        ends = [self.show(min(seconds)), self.show(max(seconds))]
        if self.rate:
            ends.reverse()
        compared = ""
        if beside in self.medians:
            compared = f"{self.medians[name] / self.medians[beside]:.2f} x {beside}"
        self.rows.append((name, self.show(self.medians[name]), " to ".join(ends), compared))

    def relabel(self, names: Mapping[str, str]) -> None:
        """Give rows longer names, which say what came of them."""
        self.rows = [(names.get(name, name), *rest) for name, *rest in self.rows]

    def print(self) -> None:
        heads = ("", "median", "min to max", "time beside")
        cells = [heads, *self.rows]
        widths = [max(len(row[column]) for row in cells) for column in range(4)]
        print(f"\n### {self.title}\n")
        for number, row in enumerate(cells):
            print("| " + " | ".join(map(str.ljust, row, widths)) + " |")
            if number == 0:
                print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
        for text in self.notes:
            print(f"\n{text}")
        sys.stdout.flush()
