"""The containers of a model, as its record lists them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PRIMARY = "primary"  # the name of a model's only container
_PORT = 8080
_SAFE_PORTS, _SAFE_COUNT = 23000, 500  # first port, and number of ports for each container


@dataclass(frozen=True)
class Container:
    """A container of a model."""

    name: str  # in messages, log streams and metrics
    definition: Mapping[str, Any]  # the ContainerDefinition
    index: int = 0
    is_only: bool = True

    @property
    def title(self) -> str:
        """Return what a message calls it."""
        return "primary container" if self.is_only else self.name

    @property
    def port(self) -> int:
        """Return the port on which it listens, if it has a network of its own."""
        return _PORT + self.index

    @property
    def environment(self) -> dict[str, str]:
        """Return its variables; the containers of an instance have different ports."""
        variables = dict(self.definition.get("Environment") or {})
        if not self.is_only:
            first = _SAFE_PORTS + self.index * _SAFE_COUNT
            variables["SAGEMAKER_BIND_TO_PORT"] = str(self.port)
            variables["SAGEMAKER_SAFE_PORT_RANGE"] = f"{first}-{first + _SAFE_COUNT - 1}"
        return variables


def containers(model: Mapping[str, Any]) -> list[Container]:
    """Return the containers of a model, in the order in which they are invoked."""
    definitions = model.get("Containers") or [model.get("PrimaryContainer") or {}]
    if len(definitions) == 1:
        return [Container(PRIMARY, definitions[0])]
    return [
        Container(entry.get("ContainerHostname") or f"container-{index + 1}", entry, index, False)
        for index, entry in enumerate(definitions)
    ]


def is_direct(model: Mapping[str, Any]) -> bool:
    """Return whether each request names one of several containers."""
    mode = (model.get("InferenceExecutionConfig") or {}).get("Mode")
    return mode == "Direct" and len(containers(model)) > 1
