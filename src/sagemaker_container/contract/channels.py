"""The job's hosts and channels, from resourceconfig.json and inputdataconfig.json."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from factorization_machines.errors import FactorizationMachinesError, PlatformError
from sagemaker_container.contract.errors import ChannelError, ConfigurationError
from sagemaker_container.contract.json_file import read_object, shorten
from sagemaker_container.contract.paths import OptMl

RECORDIO = "application/x-recordio-protobuf"
SAGEMAKER_MODEL = "application/x-sagemaker-model"
REQUIRED_CHANNEL = "train"
CHANNELS = ("train", "test")
MODEL_CHANNEL = "model"  # the model to start training from
PIPE = "Pipe"
GZIP = "Gzip"
_SHARDED = "ShardedByS3Key"
_DISTRIBUTION = ("S3DistributionType", ("FullyReplicated", _SHARDED))
_DATA_DELIVERY = (
    ("TrainingInputMode", ("File", "FastFile", PIPE)),
    ("ContentType", (RECORDIO,)),
    ("CompressionType", ("None", GZIP)),
    # In Pipe mode with RecordIO, the service wraps each object as a record of the stream.
    ("RecordWrapperType", ("None", "RecordIO")),
    _DISTRIBUTION,
)
_MODEL_DELIVERY = (
    ("TrainingInputMode", ("File", "FastFile")),
    ("ContentType", (SAGEMAKER_MODEL, "application/x-tar", "application/gzip")),
    ("CompressionType", ("None", GZIP)),  # model.tar.gz stays compressed
    ("RecordWrapperType", ("None",)),
    _DISTRIBUTION,
)
_DEFAULT_HOST = "algo-1"
_MARKERS = ("_SUCCESS", "_committed_", "_started_")  # Spark's
_KINDS = {
    stat.S_IFDIR: "a link to a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True)
class Channel:
    """A channel: its name and its files, in the order in which they are read.

    In Pipe mode there are no files; pass n reads the FIFO at the path `folder` + "_n".
    """

    name: str
    folder: Path
    files: tuple[Path, ...]
    pipe: bool = False
    gzip: bool = False
    sharded: bool = False
    """Whether each of several hosts has its own files; else all have the same files."""
    hidden: tuple[str, ...] = ()
    """Names of files and folders that are skipped; markers of Spark are not among them."""


@dataclass(frozen=True)
class Hosts:
    """The name of this host, and the names of all hosts of the job."""

    current: str
    names: tuple[str, ...]
    interface: str | None = None
    """The network interface in the job's configuration; it may not exist."""


def hosts(paths: OptMl) -> Hosts:
    """Return the hosts of the job from resourceconfig.json; algo-1 if there is no such file.

    Raises: ConfigurationError if the file is malformed, or this host is not among them.
    """
    if not paths.resource_config.exists():
        return Hosts(_DEFAULT_HOST, (_DEFAULT_HOST,))
    content = read_object(paths.resource_config)
    host = content.get("current_host", _DEFAULT_HOST)
    names = content.get("hosts", [host])
    interface = content.get("network_interface_name")
    if (
        not isinstance(host, str)
        or not isinstance(names, list)
        or not all(isinstance(name, str) for name in names)
    ):
        raise ConfigurationError(
            f"{paths.resource_config}: current_host must be a string and hosts a list; "
            f"got {shorten(content)}"
        )
    if len(names) > 1 and names.count(host) != 1:
        raise ConfigurationError(
            f"{paths.resource_config}: current_host {host!r} must be one of the hosts; "
            f"got {shorten(names)}"
        )
    all_hosts = tuple(names) if len(names) > 1 else (host,)
    return Hosts(host, all_hosts, interface if isinstance(interface, str) else None)


def channels(paths: OptMl) -> dict[str, Channel]:
    """Return the channels `train` and, if the job has it, `test`, with their files sorted.

    If inputdataconfig.json does not exist, each folder in input/data is a channel, so that
    `docker run` with two mounted folders is enough.

    Raises: ChannelError, with a line for each problem, if `train` is missing, a channel is unknown
        or empty, or has an option that this container does not support; ConfigurationError if the
        file is malformed.
    """
    declared = _declared(paths)
    problems = [
        f"unknown channel {name!r}; the channels are 'train', 'test' and 'model'"
        for name in sorted(set(declared) - {*CHANNELS, MODEL_CHANNEL})
    ]
    if REQUIRED_CHANNEL not in declared:
        names = ", ".join(repr(name) for name in declared) or "none"
        problems.append(f"the channel 'train' is required; the job's channels: {names}")
    problems += [p for name, options in declared.items() for p in _delivery_problems(name, options)]
    many_hosts = len(hosts(paths).names) > 1
    found = {}
    for name in CHANNELS if not problems else ():
        if name in declared:
            try:
                found[name] = _channel(name, paths.channel(name), declared[name], many_hosts)
            except ChannelError as error:
                problems.append(str(error))
    if problems:
        raise ChannelError("\n".join(problems))
    return found


def problems(paths: OptMl) -> list[str]:
    """Return what is wrong with the job's channels."""
    try:
        channels(paths)
    except FactorizationMachinesError as error:
        return str(error).splitlines()
    return []


def model_folder(paths: OptMl) -> Path | None:
    """Return the folder of the channel `model`; None if the job has no such channel.

    Raises: ChannelError if the folder does not exist; ConfigurationError if the file is malformed.
    """
    if MODEL_CHANNEL not in _declared(paths):
        return None
    folder = paths.channel(MODEL_CHANNEL)
    if not folder.is_dir():
        raise ChannelError(f"channel 'model': the folder {folder} does not exist")
    return folder


def _declared(paths: OptMl) -> dict[str, dict[str, object]]:
    """Return the options of each channel that the job declares."""
    if not paths.input_data_config.exists():
        return {name: {} for name in (*CHANNELS, MODEL_CHANNEL) if paths.channel(name).is_dir()}
    content = read_object(paths.input_data_config)
    declared: dict[str, dict[str, object]] = {}
    for name, options in content.items():
        if not isinstance(options, dict):
            raise ConfigurationError(
                f"{paths.input_data_config}: channel {name!r} must be an object; "
                f"got {shorten(options)}"
            )
        declared[name] = options
    return declared


def _delivery_problems(name: str, options: dict[str, object]) -> Iterator[str]:
    """Yield a problem for each option of a channel that has an unsupported value."""
    for key, allowed in _MODEL_DELIVERY if name == MODEL_CHANNEL else _DATA_DELIVERY:
        value = options.get(key)
        if value in (None, ""):
            continue
        # A media type may carry parameters, as in "application/x-recordio-protobuf; charset=…".
        if str(value).split(";")[0].strip() not in allowed:
            choice = " or ".join(f"'{option}'" for option in allowed)
            yield f"channel {name!r}: {key} must be {choice}; got {value!r}"


def _channel(name: str, folder: Path, options: dict[str, object], many_hosts: bool) -> Channel:
    gzip = options.get("CompressionType") == GZIP
    sharded = many_hosts and options.get("S3DistributionType") == _SHARDED
    if options.get("TrainingInputMode") == PIPE:
        if many_hosts:
            raise ChannelError(
                f"channel {name!r}: TrainingInputMode 'Pipe' is for one host; on many it must be "
                "'File' or 'FastFile'"
            )
        return Channel(name, folder, (), pipe=True, gzip=gzip)
    if sharded and not folder.is_dir():
        return Channel(name, folder, (), sharded=True)  # there are fewer files than hosts
    if not folder.is_dir():
        raise ChannelError(f"channel {name!r}: the folder {folder} does not exist")
    hidden: list[str] = []
    try:
        files = tuple(_sorted_files(name, folder, hidden))
    except OSError as error:
        where = error.filename or folder
        raise PlatformError(f"channel {name!r}: {where}: {error.strerror}") from error
    if not files and not sharded:
        raise ChannelError(
            f"channel {name!r} is empty: no file with data below {folder}; names that begin with"
            " '.' or '_' are skipped"
        )
    return Channel(name, folder, files, gzip=gzip, sharded=sharded, hidden=tuple(sorted(hidden)))


def is_visible(name: str) -> bool:
    """Return whether a file or folder of a channel holds data.

    As for Hadoop, names that begin with a dot or an underscore are hidden: `_SUCCESS`,
    `_committed_…` and `.part-0.crc` are Spark's own files.
    """
    return not name.startswith((".", "_"))


def _sorted_files(channel: str, folder: Path, hidden: list[str]) -> Iterable[Path]:
    """Yield the non-empty, visible files below a folder, sorted by relative path.

    Empty files are the markers that S3 tools create for folders. The names of hidden files and
    folders are appended to `hidden`.

    Raises: ChannelError for anything other than files, links to files, and folders.
    """
    files: list[Path] = []
    # Not rglob, which skips unreadable folders: the job would train on part of its data.
    for root, folders, names in os.walk(folder, onerror=_raise):
        hidden += [
            Path(root, name).relative_to(folder).as_posix()
            for name in (*folders, *names)
            if not is_visible(name) and not name.startswith(_MARKERS) and not name.endswith(".crc")
        ]
        folders[:] = filter(is_visible, folders)
        # os.walk does not enter a link to a folder, whose data would be missing.
        links = [name for name in folders if os.path.islink(os.path.join(root, name))]
        files += [Path(root, name) for name in (*links, *filter(is_visible, names))]
    for path in sorted(files, key=lambda path: path.relative_to(folder).as_posix()):
        kind = _KINDS.get(stat.S_IFMT(path.stat().st_mode)) if path.exists() else "a dangling link"
        if kind:
            where = path.relative_to(folder.parent).as_posix()
            raise ChannelError(
                f"channel {channel!r}: {where} is {kind}; a channel may have files and folders only"
            )
        if path.stat().st_size > 0:
            yield path


def _raise(error: OSError) -> NoReturn:
    raise error
