"""The parameters that training starts from: initial values, or the model in the channel `model`."""

from factorization_machines import artifact
from factorization_machines.artifact import Model
from factorization_machines.config import TrainingConfig
from factorization_machines.errors import ArtifactError
from factorization_machines.initialization import initial_parameters
from factorization_machines.parameters import Parameters
from sagemaker_container.contract import channels
from sagemaker_container.contract.errors import ChannelError, HyperparameterError
from sagemaker_container.contract.log import JobLog
from sagemaker_container.contract.paths import OptMl


def starting_parameters(
    paths: OptMl, config: TrainingConfig, log: JobLog, *, grow: bool = False
) -> Parameters:
    """Return the parameters that training starts from, in memory of their own.

    With `grow`, the model may have fewer features than the job. The missing features get their
    initial values.

    Raises: ChannelError if the channel `model` has no readable model; HyperparameterError if a
        hyperparameter of the job is incompatible with the model.
    """
    folder = channels.model_folder(paths)
    if folder is None:
        return initial_parameters(config)
    try:
        model = artifact.read(folder)
    except ArtifactError as error:
        raise ChannelError(f"channel 'model': {error}") from None
    _check(model, config, grow)
    log.message(
        f"Starting from the model in the channel 'model': a {model.predictor_type} of feature_dim "
        f"{model.parameters.feature_dim} and num_factors {model.parameters.num_factors}"
    )
    old = model.parameters.feature_dim
    if old == config.feature_dim:
        return model.parameters.copy()  # the mapped file may change during training
    log.message(f"Growing it to feature_dim {config.feature_dim}: {old} features and new ones")
    grown = initial_parameters(config)
    grown.w0[:], grown.w[:old], grown.v[:old] = (
        model.parameters.w0,
        model.parameters.w,
        model.parameters.v,
    )
    return grown


def _check(model: Model, config: TrainingConfig, grow: bool) -> None:
    predictor_type = "binary_classifier" if config.classifier else "regressor"
    pairs = (
        ("num_factors", config.num_factors, model.parameters.num_factors),
        ("predictor_type", predictor_type, model.predictor_type),
    )
    old, new = model.parameters.feature_dim, config.feature_dim
    problems = []
    if new < old or (new > old and not grow):
        more = " or more" if grow else " (or more, with _grow)" if new > old else ""
        problems.append(
            f"feature_dim must be {old}{more}, as in the model that training starts from; got {new}"
        )
    problems += [
        f"{name} must be {theirs!r}, as in the model that training starts from; got {ours!r}"
        for name, ours, theirs in pairs
        if ours != theirs
    ]
    terms = (
        ("use_bias", config.use_bias, model.parameters.w0),
        ("use_linear", config.use_linear, model.parameters.w),
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
