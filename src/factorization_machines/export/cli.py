"""The command `fm-model`: shows a model, and converts it to and from other formats."""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from factorization_machines import artifact
from factorization_machines.artifact import PREDICTOR_TYPES, Model
from factorization_machines.export import FORMATS, embeddings, load, save, summary
from factorization_machines.export.embeddings import write as write_vectors
from factorization_machines.export.summary import lines

Command = Callable[[argparse.Namespace], None]

_MODEL = "model.tar.gz, model_algo-1, a folder with either or its parts, or an exported file"


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Raises: UserError or PlatformError; SystemExit for wrong usage."""
    options = _parser().parse_args(arguments)
    options.command(options)


def _load(options: argparse.Namespace) -> Model:
    return load(options.model, options.form, options.predictor_type)


def _info(options: argparse.Namespace) -> None:
    content = summary(_load(options))
    print(json.dumps(content, indent=2) if options.json else "\n".join(lines(content)))  # noqa: T201


def _export(options: argparse.Namespace) -> None:
    save(options.output, _load(options), options.to)
    print(options.output)  # noqa: T201


def _import(options: argparse.Namespace) -> None:
    model = _load(options)
    print(artifact.save(options.output, model))  # noqa: T201


def _embeddings(options: argparse.Namespace) -> None:
    parameters = _load(options).parameters
    users = options.users
    items = options.items or range(users.stop, parameters.feature_dim)
    for path in write_vectors(options.output, embeddings(parameters, users, items)):
        print(path)  # noqa: T201


def _features(text: str) -> range:
    """Return the range of features of `N` (the first N) or `START:STOP`."""
    start, colon, stop = text.rpartition(":")
    if not (stop.isascii() and stop.isdigit() and (not colon or start.isdigit() or not start)):
        raise argparse.ArgumentTypeError(f"must be N or START:STOP; got {text!r}")
    return range(int(start or 0), int(stop))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fm-model", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, text: str, function: Command) -> argparse.ArgumentParser:
        subparser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        subparser.set_defaults(command=function)
        subparser.add_argument("model", type=Path, help=_MODEL)
        subparser.add_argument(
            "--from", dest="form", choices=list(FORMATS), help="default: by the file's ending"
        )
        subparser.add_argument(
            "--predictor-type",
            choices=PREDICTOR_TYPES,
            help="for a file without it, such as a torch state_dict",
        )
        return subparser

    def output(subparser: argparse.ArgumentParser, metavar: str, text: str | None = None) -> None:
        subparser.add_argument(
            "-o", "--output", type=Path, required=True, metavar=metavar, help=text
        )

    info = command("info", "show a model's type, dimensions, norms and training parameters", _info)
    info.add_argument("--json", action="store_true", help="as JSON")

    export = command("export", "write a model in another library's format", _export)
    export.add_argument("--to", required=True, choices=list(FORMATS))
    output(export, "FILE")

    importer = command(
        "import", "convert any of these formats to model_algo-1 or model.tar.gz", _import
    )
    output(importer, "FOLDER", "or a file that ends in .tar.gz")

    vectors = command(
        "embeddings", "write users' and items' vectors for nearest-neighbour search", _embeddings
    )
    vectors.add_argument(
        "--users", type=_features, required=True, metavar="N", help="the first N features, or A:B"
    )
    vectors.add_argument(
        "--items",
        type=_features,
        metavar="A:B",
        help="features A to B - 1; default: all after the users",
    )
    output(vectors, "FILE", ".npz, .npy or .csv")
    return parser
