"""Where training begins: initial values, or the model in the job's channel `model`."""

from fm_container import artifact
from fm_container.algorithm.parameters import Parameters, initial
from fm_container.algorithm.settings import Settings
from fm_container.artifact import Model
from fm_container.contract import config
from fm_container.contract.log import JobLog
from fm_container.contract.paths import OptMl
from fm_container.errors import ArtifactError, ChannelError, HyperparameterError


def starting_point(paths: OptMl, settings: Settings, log: JobLog) -> Parameters:
    """Return the parameters that training begins with, in memory of their own.

    Raises: ChannelError if the channel `model` holds none that can be read; HyperparameterError if
        the job differs from it in what a model cannot change.
    """
    folder = config.model_folder(paths)
    if folder is None:
        return initial(settings)
    try:
        model = artifact.read(folder)
    except ArtifactError as error:
        raise ChannelError(f"channel 'model': {error}") from None
    _check(model, settings)
    log.message(
        f"Starting from the model in the channel 'model': a {model.predictor_type} of feature_dim "
        f"{model.parameters.feature_dim} and num_factors {model.parameters.num_factors}"
    )
    return model.parameters.copy()  # the file may go or change while training goes on


def _check(model: Model, settings: Settings) -> None:
    given = "binary_classifier" if settings.classifier else "regressor"
    pairs = (
        ("feature_dim", settings.feature_dim, model.parameters.feature_dim),
        ("num_factors", settings.num_factors, model.parameters.num_factors),
        ("predictor_type", given, model.predictor_type),
    )
    problems = [
        f"{name} must be {theirs!r}, as in the model that training starts from; got {ours!r}"
        for name, ours, theirs in pairs
        if ours != theirs
    ]
    terms = (
        ("use_bias", settings.use_bias, model.parameters.w0),
        ("use_linear", settings.use_linear, model.parameters.w),
    )
    problems += [
        f"{name} must be 'true', since the model that training starts from has that term; "
        "got 'false'"
        for name, used, values in terms
        if not used and values.any()
    ]
    if len(problems) > 1:
        problems.insert(0, f"{len(problems)} problems")
    if problems:
        raise HyperparameterError("\n".join(problems))
