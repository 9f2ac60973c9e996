"""Prints docs/api-coverage.md from the registry: `python -m local_sagemaker.api.coverage`."""

import sys
from collections.abc import Iterable, Mapping

from local_sagemaker.api import members
from local_sagemaker.api.dispatch import EXECUTED, RECORDED, Handler
from local_sagemaker.api.refusals import GROUPS, REFUSED

_HEAD = """\
# Coverage of the SageMaker API

This page is generated: `python -m local_sagemaker.api.coverage > docs/api-coverage.md`.

The local service puts each operation of the SageMaker, SageMaker Runtime and SageMaker Metrics
APIs into one of three classes.

| class | meaning | operations |
|---|---|---|
| executed | the service does the work | {executed} |
| recorded | the service keeps and returns what it receives; nothing acts on it | {recorded} |
| refused | the error `NotImplemented` names the operation and what to do instead | {refused} |
"""
_MEMBERS = """
## Members of requests

Each member of a request of an executed operation is in one of three classes, by its shape in
botocore's model ([members.ini](../src/local_sagemaker/api/members.ini)). {done} are done: the
service acts on them, or keeps them as a record. A refused member is a ValidationException, unless
its value asks for nothing. A harmless member changes nothing on this machine."""
_TITLES = {
    "api.training": "Training jobs",
    "api.tuning": "Tuning jobs",
    "api.hosting": "Models and endpoints",
    "api.runtime": "Inference",
    "api.model_registry": "Model registry",
    "api.transform": "Batch transform",
    "api.processing": "Processing jobs",
    "api.pipelines": "Pipelines",
    "api.pipeline_executions": "Executions of pipelines",
    "api.experiments": "Experiments and trials",
    "api.trial_components": "Trial components",
    "api.lineage": "Lineage: artifacts, actions and contexts",
    "api.associations": "Lineage: associations and queries",
    "api.search": "Search",
    "api.tags": "Tags",
}


def markdown() -> str:
    """Return the page."""
    lines = [
        _HEAD.format(executed=len(EXECUTED), recorded=len(RECORDED), refused=len(REFUSED)),
        "## Executed\n\n| resource | operations |\n|---|---|",
        *_rows(EXECUTED),
        "\n## Recorded\n\n| resource | operations |\n|---|---|",
        *_rows(RECORDED),
        "\n## Refused\n\n| resource | instead | operations |\n|---|---|---|",
        *(f"| {g.title} | {g.advice} | {_names(g.operations())} |" for g in GROUPS),
        _MEMBERS.format(done=sum(title == "done" for title, _ in members.TABLE.values())),
        *_members("refused", "instead"),
        *_members("harmless", "why"),
    ]
    return "\n".join(lines) + "\n"


def _members(title: str, column: str) -> Iterable[str]:
    yield f"\n### {title.capitalize()}\n\n| {column} | members |\n|---|---|"
    for (group, text), names in members.sections().items():
        if group == title:
            yield f"| {text} | {_names(names)} |"


def _title(module: str) -> str:
    return _TITLES[module.removeprefix("local_sagemaker.")]


def _rows(handlers: Mapping[str, Handler]) -> Iterable[str]:
    titles = {name: _title(handler.__module__) for name, handler in handlers.items()}
    for title in dict.fromkeys(titles.values()):
        yield f"| {title} | {_names(name for name in titles if titles[name] == title)} |"


def _names(operations: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in operations)


if __name__ == "__main__":
    sys.stdout.write(markdown())
