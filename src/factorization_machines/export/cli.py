"""The command `fm-model`: look at a model, turn it into other formats and back."""

import argparse
import json
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from factorization_machines import artifact
from factorization_machines.artifact import PREDICTOR_TYPES, Model
from factorization_machines.errors import PlatformError
from factorization_machines.export import FORMATS, embeddings, load, save, summary
from factorization_machines.export.embeddings import write as write_vectors
from factorization_machines.export.summary import lines

Command = Callable[[argparse.Namespace], None]

_MODEL = "model.tar.gz, model_algo-1, a folder with either or its parts, or an exported file"


def run(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says. Raises: UserError or PlatformError; SystemExit for usage."""
    given = _parser().parse_args(arguments)
    given.do(given)


def _load(given: argparse.Namespace) -> Model:
    return load(given.model, given.form, given.predictor_type)


def _info(given: argparse.Namespace) -> None:
    content = summary(_load(given))
    print(json.dumps(content, indent=2) if given.json else "\n".join(lines(content)))  # noqa: T201


def _export(given: argparse.Namespace) -> None:
    save(given.output, _load(given), given.to)
    print(given.output)  # noqa: T201


def _import(given: argparse.Namespace) -> None:
    model = _load(given)
    output: Path = given.output
    if not output.name.endswith((".tar.gz", ".tgz")):
        artifact.check_writable(output)
        print(artifact.write(output, model))  # noqa: T201
        return
    try:
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=".fm-model-") as folder:
            made, part = artifact.write(Path(folder), model), Path(folder, "packed")
            with tarfile.open(part, "w:gz", compresslevel=1) as archive:
                archive.add(made, made.name)
            part.replace(output)
    except OSError as error:
        raise PlatformError(f"{output} cannot be written: {error.strerror or error}") from error
    print(output)  # noqa: T201


def _embeddings(given: argparse.Namespace) -> None:
    parameters = _load(given).parameters
    users = given.users
    items = given.items or range(users.stop, parameters.feature_dim)
    for path in write_vectors(given.output, embeddings(parameters, users, items)):
        print(path)  # noqa: T201


def _block(text: str) -> range:
    """Return the features of `N`, the first N, or of `START:STOP`."""
    start, colon, stop = text.rpartition(":")
    if not (stop.isascii() and stop.isdigit() and (not colon or start.isdigit() or not start)):
        raise argparse.ArgumentTypeError(f"must be N or START:STOP; got {text!r}")
    return range(int(start or 0), int(stop))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fm-model", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, text: str, do: Command) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        made.set_defaults(do=do)
        made.add_argument("model", type=Path, help=_MODEL)
        made.add_argument("--from", dest="form", choices=list(FORMATS), help="else by its ending")
        made.add_argument(
            "--predictor-type",
            choices=PREDICTOR_TYPES,
            help="of a file that does not say it, as a torch state_dict does not",
        )
        return made

    def output(made: argparse.ArgumentParser, what: str, note: str | None = None) -> None:
        made.add_argument("-o", "--output", type=Path, required=True, metavar=what, help=note)

    info = command("info", "what a model is: type, dimensions, norms, training parameters", _info)
    info.add_argument("--json", action="store_true", help="as JSON")

    export = command("export", "write a model in another library's format", _export)
    export.add_argument("--to", required=True, choices=list(FORMATS))
    output(export, "FILE")

    back = command("import", "write model_algo-1 or model.tar.gz of any of these", _import)
    output(back, "FOLDER", "or a file that ends in .tar.gz")

    vectors = command("embeddings", "write users' and items' vectors for a search", _embeddings)
    vectors.add_argument(
        "--users", type=_block, required=True, metavar="N", help="the first N features, or A:B"
    )
    vectors.add_argument(
        "--items", type=_block, metavar="A:B", help="features from A up to B, else those after"
    )
    output(vectors, "FILE", ".npz, .npy or .csv")
    return parser
