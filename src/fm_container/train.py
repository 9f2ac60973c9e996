"""The training recipe: configuration, data, fit, test scores, model artifact."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fm_container import __version__, artifact, budget, engines, team
from fm_container.algorithm.fit import ROWS_AT_ONCE, Engine, fit, streamed
from fm_container.algorithm.hosts_plan import Shares
from fm_container.algorithm.metrics import Metrics, metrics_for
from fm_container.algorithm.settings import ADAM_EPSILON, Settings, Term
from fm_container.contract import config, hyperparameters
from fm_container.contract.hyperparameters import Hyperparameters
from fm_container.contract.log import JobLog, statistics
from fm_container.contract.paths import OptMl
from fm_container.data.recordio import Rows
from fm_container.errors import AlgorithmError, ChannelError
from fm_container.progress import JobProgress
from fm_container.resume import resume
from fm_container.source import Source
from fm_container.warmstart import starting_point

if TYPE_CHECKING:
    from fm_container.team import Team

_TESTED_AT_ONCE = 8192  # rows: the sums of a channel are the same however it comes


def train(paths: OptMl, stopped: Callable[[], bool]) -> bool:
    """Run one training job; return False if `stopped` ended it early, with its model saved.

    Raises: UserError, PlatformError or AlgorithmError; see `errors` for who can fix it.
    """
    started, began = time.time(), time.perf_counter()
    given = hyperparameters.read(paths.hyperparameters)
    hosts = config.hosts(paths)
    params = hyperparameters.check(given)
    log = JobLog(hosts.current, params.text("_log_level"))
    table = Path(hyperparameters.__file__)
    log.message(f"Reading default configuration from {table}: {hyperparameters.defaults()}")
    log.message(f"Merging with provided configuration from {paths.hyperparameters}: {given}")
    log.message(f"Final configuration: {params.texts}")

    with team.join(hosts, params, log) as group:
        return _train(paths, params, group, log, (started, began), lambda: group.any(stopped()))


def _train(
    paths: OptMl,
    params: Hyperparameters,
    group: "Team",
    log: JobLog,
    clocks: tuple[float, float],
    stopped: Callable[[], bool],
) -> bool:
    started, began = clocks  # in seconds since 1970, and by a clock that nobody sets
    master = group.rank == 0
    channels = config.channels(paths)
    if params.integer("_early_stopping_patience") and "test" not in channels:
        raise ChannelError("_early_stopping_patience needs the channel 'test'; the job has none")
    if master:
        artifact.check_writable(paths.model)
    settings = settings_of(params)
    room = budget.for_data(settings, params, checkpoints=master and paths.checkpoints.is_dir())
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
    if settings.shuffle and training.rows is None:
        raise ChannelError(
            "_shuffle needs the channel 'train' in memory, and it is streamed: raise "
            "_memory_budget_mb or the memory, use File mode, or leave _shuffle out"
        )
    shares = {
        name: team.shares(group, channels[name], source.rows) for name, source in sources.items()
    }
    chosen = engines.choose(
        params.text("_engine"),
        params.text("_device"),
        params.integer("_num_threads"),
        parameters,
        settings,
        training.rows,
        shares["train"],
        group,
    )
    sizes = ", ".join(f"{source} {name}" for name, source in sources.items())
    log.message(f"Training with the engine {chosen.name}: {sizes} records")
    begin, keeper = resume(
        paths, params, parameters, sources, chosen.engine, chosen.kind, group, channels, log
    )
    setup_seconds = time.perf_counter() - began

    progress = JobProgress(log, settings)

    def test() -> Metrics:
        return _test(chosen.engine, sources["test"], shares["test"], settings, group)

    has_test = "test" in sources
    blocks = streamed(chosen.engine, lambda: training.blocks(settings.mini_batch_size))
    stopped()  # from here on a signal is for `fit` to answer
    sent = group.sent
    # The last checkpoint is written beside the model, and waited for at the end.
    with keeper or contextlib.nullcontext():
        with progress:
            outcome = fit(
                chosen.engine,
                parameters,
                shares["train"].rows if shares["train"] else blocks,
                settings,
                progress,
                stopped,
                test if has_test else None,
                begin,
                keeper,
                _rows_at_once(group, training.rows, settings),
            )
        if group.size > 1:
            log.message(f"Sent to the other hosts: {group.sent - sent} bytes")
        scores = progress.last.scores if progress.last else begin.scores
        if scores:
            log.quality("train", scores)
        if not parameters.finite():
            raise AlgorithmError("a parameter is not finite; nothing was saved")
        if outcome.kept is not None:
            log.message(f"Early stopping: the model is that of epoch {outcome.kept}")
        finished = outcome.finished
        if finished and has_test:
            tested = test()
            finished = not stopped()  # or it is not all rows
            if finished:
                log.test_scores(tested.scores())
        training_parameters = {name: text for name, text in params.texts.items() if text}
        notes = {"trained_by": f"local-factorization-machines {__version__}", "engine": chosen.name}
        if master:
            artifact.write(paths.model, artifact.Model(parameters, training_parameters, notes))
    if master:
        artifact.read(paths.model)  # what was left can be read: only then the job succeeds
    # Where one host leaves, local mode ends the others: none does before the model is there.
    group.any(False)
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
        shuffle=params.flag("_shuffle"),
        patience=params.integer("_early_stopping_patience"),
    )


def _rows_at_once(group: "Team", rows: Rows | None, settings: Settings) -> int:
    """Return how many rows are trained on before a stop is answered: a second or so of work.

    The hosts ask one another about it, so that all have to do it after the same batches.
    """
    if rows is None:  # streamed, and the decoder's buffer is the smaller part
        return ROWS_AT_ONCE
    work = settings.num_factors * max(1, int(rows.x.nnz) // max(1, len(rows)))
    mine = min(ROWS_AT_ONCE, max(1, (1 << 27) // work))
    return int(group.numbers(np.array([mine], np.int64)).min())


def _test(
    engine: Engine, source: Source, shares: Shares | None, settings: Settings, group: "Team"
) -> Metrics:
    """Return the metrics of a channel's rows, of all hosts, by the parameters as they are."""
    metrics = metrics_for(settings.classifier)
    rows = source.rows
    if shares is not None and rows is not None:  # a host of many may have no rows
        start, stop = shares.of(group.rank, np.array([[0, shares.rows]]))[0].tolist()
        for first in range(start, stop, _TESTED_AT_ONCE):
            last = min(first + _TESTED_AT_ONCE, stop)
            metrics.add(engine.score(rows.x[first:last]), rows.y[first:last])
        return team.total(group, metrics)
    source.keep()
    for block in source.blocks(_TESTED_AT_ONCE, overlap=False):
        for first, last in block.batches:
            metrics.add(engine.score(block.x[first:last]), block.y[first:last])
    return metrics
