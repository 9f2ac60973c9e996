"""The training recipe: configuration, data, fit, test scores, model artifact."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fm_container import __version__, artifact, engines, team
from fm_container.algorithm.fit import ROWS_AT_ONCE, Engine, fit
from fm_container.algorithm.hosts_plan import Shares
from fm_container.algorithm.metrics import Metrics, metrics_for
from fm_container.algorithm.settings import ADAM_EPSILON, Settings, Term
from fm_container.contract import config, hyperparameters
from fm_container.contract.config import Channel
from fm_container.contract.hyperparameters import Hyperparameters
from fm_container.contract.log import JobLog, statistics
from fm_container.contract.paths import OptMl
from fm_container.data import recordio
from fm_container.data.recordio import Rows
from fm_container.errors import AlgorithmError, ChannelError, DataError
from fm_container.progress import JobProgress
from fm_container.resume import resume
from fm_container.warmstart import starting_point

if TYPE_CHECKING:
    from fm_container.team import Team


def train(paths: OptMl, stopped: Callable[[], bool]) -> bool:
    """Run one training job; return False if `stopped` ended it early, with its model saved.

    Raises: UserError, PlatformError or AlgorithmError; see `errors` for who can fix it.
    """
    started = time.time()
    given = hyperparameters.read(paths.hyperparameters)
    hosts = config.hosts(paths)
    params = hyperparameters.check(given)
    log = JobLog(hosts.current, params.text("_log_level"))
    source = Path(hyperparameters.__file__)
    log.message(f"Reading default configuration from {source}: {hyperparameters.defaults()}")
    log.message(f"Merging with provided configuration from {paths.hyperparameters}: {given}")
    log.message(f"Final configuration: {params.texts}")

    with team.join(hosts, params, log) as group:
        return _train(paths, params, group, log, started, lambda: group.any(stopped()))


def _train(
    paths: OptMl,
    params: Hyperparameters,
    group: "Team",
    log: JobLog,
    started: float,
    stopped: Callable[[], bool],
) -> bool:
    master = group.rank == 0
    channels = config.channels(paths)
    if params.integer("_early_stopping_patience") and "test" not in channels:
        raise ChannelError("_early_stopping_patience needs the channel 'test'; the job has none")
    if master:
        artifact.check_writable(paths.model)
    settings = settings_of(params)
    parameters = starting_point(paths, settings, log)
    rows = {name: _read(channel, settings) for name, channel in channels.items()}
    shares = {name: team.shares(group, channels[name], data) for name, data in rows.items()}
    chosen = engines.choose(
        params.text("_engine"),
        params.text("_device"),
        params.integer("_num_threads"),
        parameters,
        settings,
        rows["train"],
        shares["train"],
        group,
    )
    sizes = ", ".join(f"{len(data)} {name}" for name, data in rows.items())
    log.message(f"Training with the engine {chosen.name}: {sizes} records")
    begin, keeper = resume(
        paths, params, parameters, rows, chosen.engine, chosen.kind, group, channels, log
    )
    setup_seconds = time.time() - started

    progress = JobProgress(log, settings)

    def test() -> Metrics:
        return _test(chosen.engine, rows["test"], shares["test"], settings, group)

    has_test = "test" in rows
    stopped()  # from here on a signal is for `fit` to answer
    sent = group.sent
    # The last checkpoint is written beside the model, and waited for at the end.
    with keeper or contextlib.nullcontext():
        with progress:
            outcome = fit(
                chosen.engine,
                parameters,
                shares["train"].rows,
                settings,
                progress,
                stopped,
                test if has_test else None,
                begin,
                keeper,
                _rows_at_once(group, rows["train"], settings),
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
        if outcome.finished and has_test:
            log.test_scores(test().scores())
        training_parameters = {name: text for name, text in params.texts.items() if text}
        notes = {"trained_by": f"local-factorization-machines {__version__}", "engine": chosen.name}
        if master:
            artifact.write(paths.model, artifact.Model(parameters, training_parameters, notes))
    if master:
        artifact.read(paths.model)  # what was left can be read: only then the job succeeds
    # Where one host leaves, local mode ends the others: none does before the model is there.
    group.any(False)
    total = time.time() - started
    times = {"setuptime": setup_seconds, "totaltime": total}
    numbers = {name: statistics(1000 * seconds) for name, seconds in times.items()}
    log.metrics(numbers, started, started + total)
    return outcome.finished


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


def _read(channel: Channel, settings: Settings) -> Rows:
    """Return a channel's rows. Raises: DataError for a label that the predictor cannot take."""
    rows = recordio.read(channel.files, settings.feature_dim, channel.folder.parent)
    if settings.classifier:
        wrong = np.flatnonzero((rows.y != 0) & (rows.y != 1))
        if wrong.size:
            raise DataError(
                f"channel {channel.name!r}: the label of a binary_classifier must be 0 or 1; got "
                f"{rows.y[wrong[0]]:g} in record {wrong[0] + 1} of the channel"
            )
    return rows


def _rows_at_once(group: "Team", rows: Rows, settings: Settings) -> int:
    """Return how many rows are trained on before a stop is answered: a second or so of work.

    The hosts ask one another about it, so that all have to do it after the same batches.
    """
    work = settings.num_factors * max(1, int(rows.x.nnz) // max(1, len(rows)))
    mine = min(ROWS_AT_ONCE, max(1, (1 << 27) // work))
    return int(group.numbers(np.array([mine], np.int64)).min())


def _test(engine: Engine, rows: Rows, shares: Shares, settings: Settings, group: "Team") -> Metrics:
    """Return the metrics of a channel's rows, of all hosts, by the parameters as they are."""
    metrics = metrics_for(settings.classifier)
    start, stop = shares.of(group.rank, np.array([[0, shares.rows]]))[0].tolist()
    metrics.add(engine.score(rows.x[start:stop]), rows.y[start:stop])
    return team.total(group, metrics)
