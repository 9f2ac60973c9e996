"""Interleaved timing of contenders, and the table of the results."""

import functools
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

Show = Callable[[float], str]


class Missing(Exception):
    """A peer that is not installed, and why."""


@dataclass(frozen=True)
class Contender:
    """A row to measure: `measure` returns seconds; `beside` names the row to compare with."""

    name: str
    measure: Callable[[], float]
    beside: str = ""


def repeated(make: Callable[[], Callable[[], object]], times: int = 1) -> Callable[[], float]:
    """Return a function that measures a call of what `make` returns, as the mean of some calls.

    `make` is called at the first measurement, followed by one call that is not counted.
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
    """Show one line on a terminal, replacing the previous one."""
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
    """The results of one part; `show` formats a time."""

    title: str
    show: Show = whole_seconds
    rate: bool = False  # whether `show` gives a rate, which grows as the time shrinks
    rows: list[tuple[str, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    medians: dict[str, float] = field(default_factory=dict)

    def measure(self, contenders: Sequence[Contender], repeats: int) -> None:
        """Run all contenders once a round, and add a row for each.

        What slows the machine for a while slows each of them. A missing one becomes a note.
        """
        seconds: dict[str, list[float]] = {item.name: [] for item in contenders}
        for number in range(repeats):
            for item in contenders:
                if item.name not in seconds:
                    continue
                progress(f"{self.title}: round {number + 1} of {repeats}, {item.name}")
                try:
                    seconds[item.name].append(item.measure())
                except Missing as missing:
                    del seconds[item.name]
                    self.notes.append(f"Left out: {item.name}: {missing}")
        progress("")
        for item in contenders:
            if item.name in seconds:
                self.add(item.name, seconds[item.name], item.beside)

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
        """Rename rows, to include results in the names."""
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
