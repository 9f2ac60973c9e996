"""DataProcessing of a batch transform job: filters records and joins them with predictions."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from local_sagemaker.errors import invalid
from local_sagemaker.jobs.json_path import Selector
from local_sagemaker.jobs.splitting import ObjectError

_CSV, JSON, _JSON_LINES = "text/csv", "application/json", "application/jsonlines"
_OUTPUT = "SageMakerOutput"


class DataProcessing:
    """What a transform job does with records besides sending them to the model."""

    def __init__(self, request: Mapping[str, Any]):
        """Take a CreateTransformJob request.

        Raises: ServiceError, a ValidationException, for a DataProcessing that is not allowed.
        """
        source, output = request["TransformInput"], request["TransformOutput"]
        settings = request.get("DataProcessing") or {}
        self._joins = settings.get("JoinSource", "None") == "Input"
        self._input = _selector(settings, "InputFilter")
        self._output = _selector(settings, "OutputFilter")
        self.changes_output = self._joins or not self._output.is_root
        """Whether `output` is to be called."""
        content_type = media_type(source.get("ContentType"))
        self._is_csv = content_type == _CSV
        self._ends = b"\n" if output.get("AssembleWith") == "Line" else b""
        if self.changes_output or not self._input.is_root:
            self._check(content_type, source.get("SplitType") or "None", output)

    def _check(self, content_type: str, split: str, output: Mapping[str, Any]) -> None:
        if content_type not in (_CSV, JSON, _JSON_LINES):
            raise invalid(
                f"DataProcessing needs the ContentType {_CSV}, {JSON} or {_JSON_LINES};"
                f" got {content_type!r}."
            )
        if split != "Line" and not (content_type == JSON and split == "None"):
            raise invalid(f"DataProcessing of {content_type} needs SplitType Line; got {split}.")
        if self._is_csv:
            for name, selector in (("InputFilter", self._input), ("OutputFilter", self._output)):
                if not selector.selects_columns:
                    raise invalid(
                        f"DataProcessing.{name} of {_CSV} must have indexes only, such as $[0] or"
                        " $[1:]: each row is a JSON array."
                    )
        if not self.changes_output:
            return
        # Without Accept the answers of a batch transform job are JSON Lines.
        accept = media_type(output.get("Accept")) or _JSON_LINES
        if (accept == _CSV) != self._is_csv or accept not in (_CSV, JSON, _JSON_LINES):
            raise invalid(
                "With DataProcessing the values of Accept and ContentType must match; got"
                f" {accept!r} and {content_type!r}."
            )
        if (output.get("AssembleWith") or "None") != split:
            raise invalid(
                "With DataProcessing the values of AssembleWith and SplitType must match; got"
                f" {output.get('AssembleWith')} and {split}."
            )

    def model_input(self, record: bytes) -> bytes:
        """Return the part of a record that the model receives. Raises: ObjectError."""
        if self._input.is_root:
            return record
        part = _selected(self._input, self._parse(record, "input"), record)
        return self._format(part) + b"\n"

    def output(self, records: Sequence[bytes], responses: Sequence[bytes]) -> bytes:
        """Return the output object of an object's records and of the model's responses to them.

        Raises: ObjectError.
        """
        # With MultiRecord a response has a line for each record.
        results = list(responses)
        if len(results) != len(records):
            results = [line for text in responses for line in text.splitlines() if line.strip()]
        if self._joins and len(results) != len(records):
            raise ObjectError(
                f"the model answered {len(results)} lines for {len(records)} records, which cannot"
                " be joined."
            )
        content = io.BytesIO()
        for index, result in enumerate(results):
            value = self._parse(result, "output")
            if self._joins:
                value = self._joined(self._parse(records[index], "input"), value)
            content.write(self._format(_selected(self._output, value, result)) + self._ends)
        return content.getvalue()

    def _joined(self, record: Any, result: Any) -> Any:
        if self._is_csv:
            return record + result
        known = record if isinstance(record, dict) else {"SageMakerInput": record}
        return {**known, _OUTPUT: result}

    def _parse(self, text: bytes, what: str) -> Any:
        try:
            return _csv_row(text.decode()) if self._is_csv else json.loads(text)
        except (ValueError, csv.Error) as error:
            name = "a row of CSV" if self._is_csv else "JSON"
            raise ObjectError(f"the {what} is not {name}: {error}, in {_shown(text)}.") from None

    def _format(self, value: Any) -> bytes:
        if not self._is_csv:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(value if isinstance(value, list) else [value])
        return text.getvalue().encode()


def _selected(selector: Selector, value: Any, text: bytes) -> Any:
    try:
        return selector(value)
    except ValueError as error:
        raise ObjectError(f"{error} in {_shown(text)}.") from None


def _shown(text: bytes) -> str:
    return repr(text[:100].decode(errors="replace"))


def _csv_row(text: str) -> list[str]:
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    if len(rows) != 1:
        raise ValueError(f"{len(rows)} rows instead of one")
    return rows[0]


def _selector(settings: Mapping[str, Any], name: str) -> Selector:
    try:
        return Selector(settings.get(name) or "$")
    except ValueError as error:
        raise invalid(f"DataProcessing.{name} {error}.") from error


def media_type(text: str | None) -> str:
    """Return a content type without its parameters; an empty string if there is none."""
    return (text or "").partition(";")[0].strip().lower()
