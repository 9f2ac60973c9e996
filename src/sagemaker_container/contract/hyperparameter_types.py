"""The types of hyperparameters: how each one parses and describes its values."""

import math
import re
import struct
from dataclasses import dataclass, field

Value = int | float | str | bool | None

# int() and float() also take "1_000", "١" and "infinity"; a job's strings are plain decimal.
_INTEGER = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_LARGEST_INTEGER = 2**63 - 1


class UnstorableValue(ValueError):
    """A number that cannot be stored; the message is what is allowed, to follow "must be"."""


@dataclass(frozen=True)
class Hyperparameter:
    """Base of all types; `default` is a string, as in a job's configuration."""

    name: str
    meaning: str
    default: str | None
    required: bool = field(default=False, kw_only=True)
    tunable: bool = field(default=False, kw_only=True)
    """Whether the service accepts it as a range of a tuning job."""

    def parse(self, text: str) -> Value:
        """Return the value of a string. Raises: ValueError if it is not allowed."""
        raise ValueError(text)

    def allowed(self) -> str:
        """Return a description of the allowed values that can follow "must be"."""
        return ""


@dataclass(frozen=True)
class Integer(Hyperparameter):
    """An integer in [low, high]."""

    low: int = 0
    high: int | None = None

    def parse(self, text: str) -> int:
        """Return the integer. Raises: ValueError if it is malformed or out of range."""
        if not _INTEGER.fullmatch(text.strip()):
            raise ValueError(text)
        # int() rejects thousands of digits.
        value = int(text) if len(text) <= 40 else _LARGEST_INTEGER + 1
        if self.high is None and value > _LARGEST_INTEGER:
            raise UnstorableValue(f"an integer from {self.low} to {_LARGEST_INTEGER}")
        if not (self.low <= value and (self.high is None or value <= self.high)):
            raise ValueError(text)
        return value

    def allowed(self) -> str:
        """Return the range in words."""
        if self.high is None:
            return f"an integer >= {self.low}"
        return f"an integer from {self.low} to {self.high}"


@dataclass(frozen=True)
class Continuous(Hyperparameter):
    """A finite number in [low, infinity), or in (low, infinity) if `low_open`."""

    low: float | None = None
    low_open: bool = False

    def parse(self, text: str) -> float:
        """Return the number. Raises: ValueError if it is malformed or out of range."""
        if not _DECIMAL.fullmatch(text.strip()):
            raise ValueError(text)
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(text)
        underflows = value == 0 and re.search("[1-9]", _mantissa(text))
        too_low = self.low is not None and (
            value <= self.low if self.low_open else value < self.low
        )
        if too_low and not underflows:
            raise ValueError(text)
        if underflows or not _fits_float32(value):
            raise UnstorableValue(f"{self.allowed()} in the range of float32")
        return value

    def allowed(self) -> str:
        """Return the range in words."""
        if self.low is None:
            return "a finite number"
        return f"a finite number {'>' if self.low_open else '>='} {self.low:g}"


def _fits_float32(value: float) -> bool:
    """Return whether a float stays finite, and other than 0, as a float32."""
    try:
        (stored,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:
        return False
    return bool(stored) == bool(value)


def _mantissa(text: str) -> str:
    return text.lower().partition("e")[0]


@dataclass(frozen=True)
class Categorical(Hyperparameter):
    """One of several strings."""

    options: tuple[str, ...] = ()

    def parse(self, text: str) -> str:
        """Return the string. Raises: ValueError if it is not one of the options."""
        if text not in self.options:
            raise ValueError(text)
        return text

    def allowed(self) -> str:
        """Return the options."""
        return " or ".join(f"'{option}'" for option in self.options)


@dataclass(frozen=True)
class Boolean(Hyperparameter):
    """true or false in any case, because the SDK sends Python's str(True)."""

    def parse(self, text: str) -> bool:
        """Return the value. Raises: ValueError if it is neither."""
        word = text.strip().lower()
        if word not in ("true", "false"):
            raise ValueError(text)
        return word == "true"

    def allowed(self) -> str:
        """Return both values."""
        return "'true' or 'false'"


@dataclass(frozen=True)
class Interval(Hyperparameter):
    """A positive number of epochs, such as 5, or of seconds, such as 60s."""

    def parse(self, text: str) -> str:
        """Return the text without spaces. Raises: ValueError if it is neither."""
        word = text.strip()
        number = word.removesuffix("s")
        if not _INTEGER.fullmatch(number) or len(number) > 9 or int(number) < 1:
            raise ValueError(text)
        return word

    def allowed(self) -> str:
        """Return both forms."""
        return "a number of epochs, as '5', or of seconds, as '60s'"


@dataclass(frozen=True)
class Text(Hyperparameter):
    """Any string, for a hyperparameter that is accepted but has no effect."""

    def parse(self, text: str) -> str:
        """Return the string unchanged."""
        return text

    def allowed(self) -> str:
        """Return that any string is allowed."""
        return "a string"
