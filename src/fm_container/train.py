"""The training recipe: configuration, data, fit, test scores, model artifact."""

import functools
import time
from collections.abc import Callable
from pathlib import Path

from fm_container import __version__, artifact, budget, engines
from fm_container.algorithm.fit import Engine, fit, streamed
from fm_container.algorithm.metrics import Metrics, metrics_for
from fm_container.algorithm.settings import ADAM_EPSILON, Settings, Term
from fm_container.contract import config, hyperparameters
from fm_container.contract.hyperparameters import Hyperparameters
from fm_container.contract.log import JobLog, statistics
from fm_container.contract.paths import OptMl
from fm_container.errors import AlgorithmError, ChannelError
from fm_container.progress import JobProgress
from fm_container.source import Source
from fm_container.warmstart import starting_point

_TESTED_AT_ONCE = 8192  # rows: the sums of a channel are the same however it comes


def train(paths: OptMl, stopped: Callable[[], bool]) -> bool:
    """Run one training job; return False if `stopped` ended it early, with its model saved.

    Raises: UserError, PlatformError or AlgorithmError; see `errors` for who can fix it.
    """
    started, began = time.time(), time.perf_counter()
    given = hyperparameters.read(paths.hyperparameters)
    host = config.host_name(paths)
    params = hyperparameters.check(given)
    log = JobLog(host, params.text("_log_level"))
    table = Path(hyperparameters.__file__)
    log.message(f"Reading default configuration from {table}: {hyperparameters.defaults()}")
    log.message(f"Merging with provided configuration from {paths.hyperparameters}: {given}")
    log.message(f"Final configuration: {params.texts}")

    channels = config.channels(paths)
    if params.integer("_early_stopping_patience") and "test" not in channels:
        raise ChannelError("_early_stopping_patience needs the channel 'test'; the job has none")
    artifact.check_writable(paths.model)
    settings = settings_of(params)
    room = budget.for_data(settings, params)
    parameters = starting_point(paths, settings, log, grow=params.flag("_grow"))
    sources = {}
    for name, channel in channels.items():
        source = Source(
            channel, settings.feature_dim, settings.classifier, room, log.message, stopped
        )
        source.load()
        room -= source.nbytes
        sources[name] = source
    training = sources["train"]
    chosen = engines.choose(
        params.text("_engine"),
        params.text("_device"),
        params.integer("_num_threads"),
        parameters,
        settings,
        training.rows,
    )
    sizes = ", ".join(f"{source} {name}" for name, source in sources.items())
    log.message(f"Training with the engine {chosen.name}: {sizes} records")
    setup_seconds = time.perf_counter() - began

    progress = JobProgress(log, settings)
    test = (
        functools.partial(_test, chosen.engine, sources["test"], settings)
        if "test" in sources
        else None
    )
    size = settings.mini_batch_size
    rows = (
        streamed(chosen.engine, lambda: training.blocks(size))
        if training.rows is None
        else len(training.rows)
    )
    with progress:
        outcome = fit(chosen.engine, parameters, rows, settings, progress, stopped, test)
    if progress.last is not None:
        log.quality("train", progress.last.scores)
    if not parameters.finite():
        raise AlgorithmError("a parameter is not finite; nothing was saved")
    if outcome.kept is not None:
        log.message(f"Early stopping: the model is that of epoch {outcome.kept}")
    finished = outcome.finished
    if finished and test:
        tested = test()
        finished = not stopped()  # or it is not all rows
        if finished:
            log.test_scores(tested.scores())
    training_parameters = {name: text for name, text in params.texts.items() if text}
    notes = {"trained_by": f"local-factorization-machines {__version__}", "engine": chosen.name}
    artifact.write(paths.model, artifact.Model(parameters, training_parameters, notes))
    artifact.read(paths.model)  # what was left can be read: only then the job succeeds
    total = time.perf_counter() - began
    times = {"setuptime": setup_seconds, "totaltime": total}
    numbers = {name: statistics(1000 * seconds) for name, seconds in times.items()}
    log.metrics(numbers, started, started + total)
    return finished


def settings_of(params: Hyperparameters) -> Settings:
    """Return what the algorithm is told, from the job's hyperparameters."""

    def term(name: str) -> Term:
        return Term(
            lr=params.real(f"{name}_lr"),
            wd=params.real(f"{name}_wd"),
            init_method=params.text(f"{name}_init_method"),
            init_sigma=params.real(f"{name}_init_sigma"),
            init_scale=params.optional_real(f"{name}_init_scale"),
            init_value=params.optional_real(f"{name}_init_value"),
        )

    return Settings(
        feature_dim=params.integer("feature_dim"),
        num_factors=params.integer("num_factors"),
        classifier=params.text("predictor_type") == "binary_classifier",
        bias=term("bias"),
        linear=term("linear"),
        factors=term("factors"),
        epochs=params.integer("epochs"),
        mini_batch_size=params.integer("mini_batch_size"),
        use_bias=params.flag("use_bias"),
        use_linear=params.flag("use_linear"),
        clip_gradient=params.optional_real("clip_gradient"),
        eps=params.optional_real("eps") or ADAM_EPSILON,
        rescale_grad=params.optional_real("rescale_grad"),
        seed=params.integer("_seed"),
        publish_interval=params.integer("batch_metrics_publish_interval"),
        optimizer=params.text("_optimizer"),
        patience=params.integer("_early_stopping_patience"),
    )


def _test(engine: Engine, source: Source, settings: Settings) -> Metrics:
    """Return the metrics of a channel's rows by the parameters as they are."""
    metrics = metrics_for(settings.classifier)
    source.keep()
    for block in source.blocks(_TESTED_AT_ONCE, overlap=False):
        for first, last in block.batches:
            metrics.add(engine.score(block.x[first:last]), block.y[first:last])
    return metrics
