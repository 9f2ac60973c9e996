"""Python values as JSON text that keeps their types, without pickle."""

import base64
import datetime
import json
from collections.abc import Callable, Mapping
from typing import Any

_TYPE, _VALUE = "@", "value"  # members of an object that stands for a value of another type


class Encoder:
    """Encodes JSON's types, tuples, sets, times, bytes, and instances of a fixed set of classes."""

    def __init__(self, classes: tuple[type, ...] = ()):
        """Take the classes."""
        self._classes: Mapping[str, type] = {cls.__name__: cls for cls in classes}
        self._decoder = json.JSONDecoder(object_hook=self._decode)

    def dumps(self, value: Any) -> str:
        """Return JSON text.

        Raises: TypeError for a value of any other type.
        """
        return json.dumps(self._encode(value), separators=(",", ":"))

    def loads(self, text: str) -> Any:
        """Return the value of a text that `dumps` returned.

        Raises: ValueError, TypeError or LookupError if it is not such a text.
        """
        return self._decoder.decode(text)

    def attributes(self, instance: Any) -> dict[str, Any]:
        """Return the attributes of an instance of one of the classes."""
        return dict(vars(instance))

    def create(self, cls: type, attributes: dict[str, Any]) -> Any:
        """Create an instance with such attributes."""
        instance: Any = object.__new__(cls)
        instance.__dict__.update(attributes)
        return instance

    def _encode(self, value: Any) -> Any:
        kind = type(value)
        if value is None or kind in (str, int, float, bool):
            return value
        if kind is list:
            return [self._encode(item) for item in value]
        if self._classes.get(kind.__name__) is kind:
            return _typed(kind.__name__, self._encode(self.attributes(value)))
        if isinstance(value, dict):
            if _TYPE in value or not all(type(key) is str for key in value):
                return _typed(
                    "dict", [[self._encode(k), self._encode(v)] for k, v in value.items()]
                )
            return {key: self._encode(item) for key, item in value.items()}
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, (tuple, set)):
            return _typed(kind.__name__, [self._encode(item) for item in value])
        if isinstance(value, datetime.datetime):
            return _typed("time", value.isoformat())
        if isinstance(value, bytes):
            return _typed("bytes", base64.b64encode(value).decode())
        raise TypeError(f"a value of {kind} cannot be stored")

    def _decode(self, value: dict[str, Any]) -> Any:
        if _TYPE not in value:
            return value
        name, content = value[_TYPE], value[_VALUE]
        if name in _DECODERS:
            return _DECODERS[name](content)
        return self.create(self._classes[name], content)


def _typed(name: str, value: Any) -> dict[str, Any]:
    return {_TYPE: name, _VALUE: value}


_DECODERS: Mapping[str, Callable[[Any], Any]] = {
    "dict": dict,
    "tuple": tuple,
    "set": set,
    "time": datetime.datetime.fromisoformat,
    "bytes": base64.b64decode,
}
