"""The kinds of row that the table of hyperparameters is made of."""

import math
import re
from dataclasses import dataclass, field

Value = int | float | str | bool | None

# int() and float() also take "1_000", "١" and "infinity"; a job's strings are plain decimal.
_INTEGER = re.compile(r"[+-]?[0-9]+")
_REAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, kw_only=True)
class _Options:
    required: bool = field(default=False)
    tunable: bool = field(default=False)
    """Whether the service offers it to a tuning job."""


@dataclass(frozen=True)
class Parameter(_Options):
    """One row: a name, what it means, and its default as the string that a job would give."""

    name: str
    meaning: str
    default: str | None

    def parse(self, text: str) -> Value:
        """Return the value of a string. Raises: ValueError if it is not allowed."""
        raise ValueError(text)

    def allowed(self) -> str:
        """Return what is allowed, to follow "must be"."""
        return ""


@dataclass(frozen=True)
class Integer(Parameter):
    """A whole number in [low, high]."""

    low: int = 0
    high: int | None = None

    def parse(self, text: str) -> int:
        """Return the integer. Raises: ValueError if it is none, or out of range."""
        if not _INTEGER.fullmatch(text.strip()) or len(text) > 40:
            raise ValueError(text)
        value = int(text)
        if not (self.low <= value and (self.high is None or value <= self.high)):
            raise ValueError(text)
        return value

    def allowed(self) -> str:
        """Return the range in words."""
        if self.high is None:
            return f"an integer >= {self.low}"
        return f"an integer from {self.low} to {self.high}"


@dataclass(frozen=True)
class Real(Parameter):
    """A finite number, not below `low` where there is one."""

    low: float | None = None
    low_open: bool = False

    def parse(self, text: str) -> float:
        """Return the number. Raises: ValueError if it is none, not finite, or out of range."""
        if not _REAL.fullmatch(text.strip()):
            raise ValueError(text)
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(text)
        if self.low is not None and not (self.low < value if self.low_open else self.low <= value):
            raise ValueError(text)
        return value

    def allowed(self) -> str:
        """Return the range in words."""
        if self.low is None:
            return "a finite number"
        return f"a finite number {'>' if self.low_open else '>='} {self.low:g}"


@dataclass(frozen=True)
class Choice(Parameter):
    """One of a few words."""

    options: tuple[str, ...] = ()

    def parse(self, text: str) -> str:
        """Return the word. Raises: ValueError if it is not among the options."""
        if text not in self.options:
            raise ValueError(text)
        return text

    def allowed(self) -> str:
        """Return the options."""
        return " or ".join(f"'{option}'" for option in self.options)


@dataclass(frozen=True)
class Flag(Parameter):
    """true or false, in any case: Python's str(True) is what SDK users send."""

    def parse(self, text: str) -> bool:
        """Return the truth value. Raises: ValueError if it is neither."""
        word = text.strip().lower()
        if word not in ("true", "false"):
            raise ValueError(text)
        return word == "true"

    def allowed(self) -> str:
        """Return the two words."""
        return "'true' or 'false'"


@dataclass(frozen=True)
class Interval(Parameter):
    """A number of epochs, as in 5, or of seconds, as in 60s."""

    def parse(self, text: str) -> str:
        """Return it, without spaces. Raises: ValueError if it is neither, or nothing."""
        word = text.strip()
        number = word.removesuffix("s")
        if not _INTEGER.fullmatch(number) or len(number) > 9 or int(number) < 1:
            raise ValueError(text)
        return word

    def allowed(self) -> str:
        """Return both forms."""
        return "a number of epochs, as '5', or of seconds, as '60s'"


@dataclass(frozen=True)
class Text(Parameter):
    """Any string: accepted for the sake of jobs that send it, without effect here."""

    def parse(self, text: str) -> str:
        """Return the string as it is."""
        return text

    def allowed(self) -> str:
        """Return that all is allowed."""
        return "a string"
