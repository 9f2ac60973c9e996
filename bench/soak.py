"""Minutes of full load with faulty clients: statuses, restarts, and memory over time."""

import json
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter, sleep

from bench import load, servers
from bench.data import WORK, Options, lab
from bench.records import write_records
from bench.servers import FEATURES, Running
from bench.serving import _dense, _sparse
from bench.timing import progress
from factorization_machines.recordio.decoder import Rows
from local_sagemaker.lab.ratings import USERS
from sagemaker_container.serving.content_types.negotiation import CSV, JSON, JSON_LINES, RECORDS

CONNECTIONS = 16
SAMPLE = 5.0  # seconds
HEAD = b"POST /invocations HTTP/1.1\r\nHost: soak\r\nContent-Type: application/json\r\n"

# Requests are chosen at random by weight; responses are counted by status.
SCRIPT = """
local kinds, bodies, total = %s, {}, 0
for i, kind in ipairs(kinds) do
    local file = io.open(kind.file, "rb")
    bodies[i] = wrk.format(kind.method, kind.path, {["Content-Type"] = kind.type}, file:read("*a"))
    file:close()
    total = total + kind.weight
end
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init(arguments) statuses = "" counts = {} math.randomseed(os.time()) end
function request()
    local left = math.random() * total
    for i, kind in ipairs(kinds) do
        left = left - kind.weight
        if left <= 0 then return bodies[i] end
    end
    return bodies[1]
end
function response(status)
    counts[status] = (counts[status] or 0) + 1
end
function done(summary, latency, requests)
    for _, thread in ipairs(threads) do
        local counts = thread:get("counts")
        for status, count in pairs(counts) do
            io.write(string.format("status %%s %%d\\n", status, count))
        end
    end
    local e = summary.errors
    io.write(string.format("errors connect %%d read %%d write %%d timeout %%d\\n",
        e.connect, e.read, e.write, e.timeout))
    io.write(string.format("p99 %%f\\n", latency:percentile(99) / 1000))
end
"""


def run(options: Options) -> None:
    seconds = options.soak_seconds
    script = WORK / "soak.lua"
    script.write_text(SCRIPT % _lua(list(_kinds(options))))
    with servers.ours(2) as running:
        workers = running.all_workers(2)
        faults = _Faults(running.port)
        faults.start()
        process = load.start(running.port, script, CONNECTIONS, seconds, "/invocations")
        samples = list(_samples(running, workers, seconds))
        output = process.communicate()[0]
        faults.stop()
        alive = running.workers() == workers and servers.ping(running.port) == 200
        log = (WORK / "server.log").read_text(errors="replace")
    _report(seconds, output, faults.done, samples, alive, log)


def _kinds(options: Options) -> Iterator[dict[str, object]]:
    """Yield each kind of request with its weight."""
    _, test = lab(options.data)
    records = write_records(Rows(test.x[:500], test.y[:500]), WORK / "soak.rec").read_bytes()
    sparse, dense = _sparse(3, 5), _dense()
    top = {"from": [USERS, FEATURES - 1], "k": 10}
    five = json.dumps({"instances": [dense] * 380}).encode()
    kinds: list[tuple[str, float, str, bytes, str, str]] = [
        ("sparse", 40, JSON, _json([sparse]), "POST", "/invocations"),
        ("dense", 20, JSON, _json([dense]), "POST", "/invocations"),
        ("records", 5, RECORDS, records, "POST", "/invocations"),
        ("lines", 5, JSON_LINES, json.dumps(sparse).encode() + b"\n", "POST", "/invocations"),
        ("csv", 3, CSV, b",".join([b"0"] * FEATURES), "POST", "/invocations"),
        ("top", 3, JSON, json.dumps({"instances": [sparse], "top_k": top}).encode(), "POST",
         "/invocations"),
        ("five", 0.3, JSON, five, "POST", "/invocations"),
        ("seven", 0.1, JSON, five + b" " * (2 << 20), "POST", "/invocations"),
        ("ping", 5, JSON, b"", "GET", "/ping"),
        ("cut", 5, JSON, _json([dense])[:-100], "POST", "/invocations"),
        ("long", 3, JSON, _json([{"features": [1] * (FEATURES + 1)}]), "POST", "/invocations"),
        ("damaged", 3, RECORDS, records[:3000] + b"\xff" * 9 + records[3009:], "POST",
         "/invocations"),
        ("type", 3, "text/html", b"<p>", "POST", "/invocations"),
        ("method", 2, JSON, b"", "GET", "/invocations"),
        ("nowhere", 2, JSON, b"", "GET", "/admin"),
    ]  # fmt: skip
    for name, weight, kind, body, method, path in kinds:
        file = WORK / f"soak-{name}"
        file.write_bytes(body)
        yield {"file": str(file), "weight": weight, "type": kind, "method": method, "path": path}


def _json(instances: list[object]) -> bytes:
    return json.dumps({"instances": instances}).encode()


def _lua(kinds: list[dict[str, object]]) -> str:
    rows = (", ".join(f"{name} = {json.dumps(value)}" for name, value in kind.items())
            for kind in kinds)  # fmt: skip
    return "{" + ", ".join(f"{{{row}}}" for row in rows) + "}"


class _Faults(threading.Thread):
    """Clients that disconnect, stall, reset, or do not speak HTTP, in parallel to the load."""

    def __init__(self, port: int):
        super().__init__(daemon=True)
        self.done: Counter[str] = Counter()
        self._port = port
        self._ending = threading.Event()
        self._stalled: list[socket.socket] = []

    def run(self) -> None:
        faults = (
            self._disconnects,
            self._stalls,
            self._resets,
            self._sends_no_http,
            self._does_not_read,
        )
        while not self._ending.wait(0.05):
            for fault in faults:
                try:
                    client = socket.create_connection(("127.0.0.1", self._port), 5)
                    fault(client)
                    self.done[fault.__name__.strip("_").replace("_", " ")] += 1
                except OSError:
                    self.done["refused"] += 1

    def stop(self) -> None:
        self._ending.set()
        self.join()
        for client in self._stalled:
            client.close()

    def _disconnects(self, client: socket.socket) -> None:
        client.sendall(HEAD + b'Content-Length: 99\r\n\r\n{"instances"')
        client.close()

    def _stalls(self, client: socket.socket) -> None:
        client.sendall(HEAD + b"Content-Length: 5000000\r\n\r\n[")
        self._stalled.append(client)
        if len(self._stalled) > 50:
            self._stalled.pop(0).close()

    def _resets(self, client: socket.socket) -> None:
        client.sendall(HEAD + b'Content-Length: 99\r\n\r\n{"instances"')
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()

    def _sends_no_http(self, client: socket.socket) -> None:
        client.sendall(b"\x16\x03\x01\x02\x00\x01\x00 hello\r\n\r\n")
        client.close()

    def _does_not_read(self, client: socket.socket) -> None:
        body = b'{"instances": [' + b",".join([b'{"features": {"keys": [], "values": []}}'] * 2000)
        body += b"]}"
        client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        client.close()


def _samples(
    running: Running, workers: list[int], seconds: int
) -> Iterator[tuple[float, list[float]]]:
    """Yield the time and the resident memory of each worker, every SAMPLE seconds."""
    began = perf_counter()
    while (now := perf_counter() - began) < seconds:
        progress(f"soak: {now:.0f} of {seconds} s")
        if not all(Path(f"/proc/{pid}").exists() for pid in workers):
            break
        yield now, [servers.memory(pid)["Rss"] for pid in workers]
        sleep(min(SAMPLE, max(seconds - now, 0.1)))
    progress("")


def _report(
    seconds: int,
    output: str,
    faults: Counter[str],
    samples: list[tuple[float, list[float]]],
    alive: bool,
    log: str,
) -> None:
    statuses = {int(status): int(count) for status, count in
                re.findall(r"^status (\d+) (\d+)$", output, re.MULTILINE)}  # fmt: skip
    print(f"\n### {seconds} s of full load with faulty clients, 2 workers\n")
    print("| status | responses |\n|---|---|")
    for status, count in sorted(statuses.items()):
        print(f"| {status} | {count:,} |")
    for line in re.findall(r"^(?:errors|p99).*$", output, re.MULTILINE):
        print(f"\nwrk: {line}")
    print("\nFaults: " + ", ".join(f"{name} {count:,}" for name, count in faults.items()))
    bad = sum(count for status, count in statuses.items() if status >= 500)
    logged = len(re.findall(r"^\S+ \S+ 5\d\d,", log, re.MULTILINE))
    print(f"\n5xx responses: {bad}; in the log: {logged}; traces: {log.count('Traceback')}")
    print(f"The same workers at the end, and /ping responds: {'yes' if alive else 'NO'}")
    print("\nResident memory of the workers in MB, the mean of each tenth of the time:")
    size = max(len(samples) // 10, 1)
    for start in range(0, len(samples), size):
        part = samples[start : start + size]
        means = [sum(values) / len(part) for values in zip(*(mb for _, mb in part), strict=True)]
        print(f"  {part[0][0]:4.0f} s  " + "  ".join(f"{mean:6.1f}" for mean in means))
