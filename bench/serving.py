"""Serving: start, memory, requests a second beside a naive server, and the handler alone."""

import functools
import gc
import http.client
import json
import statistics
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from bench import load, servers
from bench.data import WORK, Options, lab
from bench.records import write_records
from bench.servers import FEATURES, Running
from bench.timing import Contender, Missing, Table, milliseconds, progress, repeated
from factorization_machines.scoring import Predictor
from local_sagemaker.lab.ratings import MOVIES, USERS
from sagemaker_container.contract.paths import OptMl
from sagemaker_container.serving import loading
from sagemaker_container.serving.content_types.negotiation import JSON, RECORDS
from sagemaker_container.serving.inference import answer

SECONDS = 1.5
CONNECTIONS = (2, 4, 16)
Start = Callable[[], AbstractContextManager[Running]]


def run(options: Options) -> None:
    _start_and_memory(options.repeats)
    _inside_the_handler(options)
    try:
        load.wrk()
    except Missing as missing:
        print(f"\nLeft out: requests a second: {missing}")
        return
    one_dense = _body("dense", [_dense()])
    requests_per_second(options)
    _half_load(functools.partial(servers.ours, 2), one_dense)


def requests_per_second(options: Options) -> None:
    """Print the requests a second of `serve` and of the naive server, for four bodies."""
    sparse = [_sparse(i % USERS, i % MOVIES) for i in range(1000)]
    bodies = {
        "Ten dense rows of 2,625 numbers": [_dense(i, i) for i in range(10)],
        "100 sparse rows": sparse[:100],
        "1,000 sparse rows": sparse,
        "One sparse row": sparse[:1],
    }
    starts = {
        "serve": functools.partial(servers.ours, 2),
        "flask, json and numpy": functools.partial(servers.naive, 2),
    }
    for number, (name, instances) in enumerate(bodies.items()):
        body = _body(f"body-{number}", instances)
        _requests(f"{name} as JSON, 2 workers of one kind", options, body, starts)


def _start_and_memory(repeats: int) -> None:
    seconds, rss, shares = [], [], {1: [], 2: []}
    for _ in range(repeats):
        for workers, found in shares.items():
            with servers.ours(workers) as running:
                if workers == 2:
                    seconds.append(running.seconds)
                pids = running.all_workers(workers)
                _body_sent(running)
                rss.append(max(servers.memory(pid)["Rss"] for pid in pids))
                everyone = [running.process.pid, *pids]
                found.append(sum(servers.memory(pid)["Pss"] for pid in everyone))
    table = Table("`serve`, model of the lab's shape, 2 workers", milliseconds)
    table.add("from the start to the first 200 of /ping", seconds)
    second = statistics.median(shares[2]) - statistics.median(shares[1])
    table.notes.append(
        f"Memory of a worker: {statistics.median(rss):.0f} MB (resident); a second worker adds "
        f"{second:.1f} MB (all shares, Pss), to {statistics.median(shares[1]):.0f} MB in all."
    )
    table.print()


def _body_sent(running: Running) -> None:
    """Send requests to each worker, so that it has allocated what a response takes."""
    for _ in range(8):
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
        body = json.dumps({"instances": [_dense(), _sparse(1, 2)]})
        connection.request("POST", "/invocations", body, {"Content-Type": JSON})
        assert connection.getresponse().status == 200
        connection.close()


def _inside_the_handler(options: Options) -> None:
    """Print the time of `answer`, from bytes to bytes, in this process."""
    predictor = loading.load(OptMl(servers.model()))
    assert isinstance(predictor, Predictor)
    _, test = lab(options.data)
    records = write_records(test, WORK / "test.rec").read_bytes()
    # As `serve` does, so that garbage collections skip the objects of imported modules.
    gc.collect()
    gc.freeze()
    table = Table(f"Inside the handler: {len(test):,} records as recordIO", milliseconds)
    for accept in (JSON, RECORDS):
        call = functools.partial(answer, predictor, records, RECORDS, accept, batch=False)
        table.measure(
            [Contender(f"answered as {accept}", repeated(lambda call=call: call, 5))],
            options.repeats,
        )
    best = min(table.medians.values())
    worst = max(table.medians.values())
    table.notes.append(
        f"{len(test) / worst / 1e6:.2f} to {len(test) / best / 1e6:.2f} M rows/s a worker."
    )
    table.print()

    block = {"from": [USERS, FEATURES - 1], "k": 10}
    user = {"features": {"keys": [7], "values": [1]}}
    top = json.dumps({"instances": [user], "top_k": block}).encode()
    pairs = _pairs(range(MOVIES), _sparse)
    single = [_pairs([movie], _sparse) for movie in range(MOVIES)]
    # As the lab's serializer writes them, in as few requests as the payload limit allows.
    lab_form = [
        _pairs(range(MOVIES)[start : start + 400], _dense) for start in range(0, MOVIES, 400)
    ]
    assert max(map(len, lab_form)) <= 6 << 20
    table = Table(f"Inside the handler: the best 10 of {MOVIES:,} items for a user", milliseconds)
    ask = functools.partial(answer, predictor, content_type=JSON, accept=None, batch=False)
    name = "top_k"
    table.measure(
        [
            Contender(name, repeated(lambda: lambda: ask(body=top), 200)),
            Contender(
                "all pairs as JSON, one request", repeated(lambda: lambda: ask(body=pairs), 5), name
            ),
            Contender(
                "each pair as JSON, a request each",
                repeated(lambda: lambda: [ask(body=body) for body in single]),
                name,
            ),
            Contender(
                f"all pairs in the lab's JSON, {len(lab_form)} requests",
                repeated(lambda: lambda: [ask(body=body) for body in lab_form]),
                name,
            ),
        ],
        options.repeats,
    )
    table.print()


def _pairs(movies: Iterable[int], row: Callable[[int, int], object]) -> bytes:
    """Return the request that scores these movies for one user.

    Only its bytes are kept: garbage collections would have to visit millions of numbers.
    """
    return json.dumps({"instances": [row(7, movie) for movie in movies]}).encode()


def _requests(title: str, options: Options, body: Path, starts: dict[str, Start]) -> None:
    """Print the requests a second of each server, at its best number of connections."""
    rates: dict[str, list[float]] = {name: [] for name in starts}
    suited: dict[str, int] = {}
    for number in range(min(options.repeats, 3)):
        for name, start in starts.items():
            progress(f"{title}: round {number + 1}, {name}")
            rate, suited[name] = _best(start, body, JSON)
            rates[name].append(rate)
    progress("")
    table = Table(title, lambda seconds: f"{1 / seconds:,.0f} requests/s", rate=True)
    first = next(iter(starts))
    for name, found in rates.items():
        table.add(name, [1 / rate for rate in found], "" if name == first else first)
    table.relabel({name: f"{name}, {count} connections" for name, count in suited.items()})
    ours, naive = map(statistics.median, rates.values())
    table.notes.append(f"{ours / naive:.2f} times the naive server.")
    table.print()


def _best(start: Start, body: Path, content_type: str, workers: int = 2) -> tuple[float, int]:
    """Return the highest rate of requests a second, and its number of connections."""
    with start() as running:
        running.all_workers(workers)
        found = {}
        for connections in CONNECTIONS:
            result = load.run(running.port, body, content_type, connections, SECONDS)
            if result.failed:
                raise Missing(f"{result.failed} requests failed")
            found[result.rate] = connections
    return max(found), found[max(found)]


def _half_load(start: Start, body: Path) -> None:
    """Print the latency at half of the highest rate."""
    most, _ = _best(start, body, JSON)
    connections = 16
    for pause in _pauses(1000 * connections / (most / 2)):
        with start() as running:
            running.all_workers(2)
            found = load.run(running.port, body, JSON, connections, 3 * SECONDS, pause)
        if found.rate <= 0.55 * most:
            break
    print(
        f"\nOne dense row at {found.rate / most:.0%} of {most:,.0f} requests/s, {connections} "
        f"connections: median {found.median:.2f} ms, p99 {found.p99:.2f} ms; {found.failed} failed"
    )


def _pauses(first: float) -> Iterator[float]:
    for factor in (0.9, 1.0, 1.1, 1.2, 1.5, 2.0):
        yield factor * first


def _dense(user: int = 3, movie: int = 5) -> object:
    row = [0.0] * FEATURES
    row[user] = row[USERS + movie] = 1.0
    return {"features": row}


def _sparse(user: int, movie: int) -> object:
    keys = [user, USERS + movie]
    return {"data": {"features": {"keys": keys, "shape": [FEATURES], "values": [1, 1]}}}


def _body(name: str, instances: list[object]) -> Path:
    file = WORK / f"{name}.json"
    file.write_text(json.dumps({"instances": instances}))
    return file
