"""The containers of a model, one after the other or by name, with a runner that starts threads."""

import http.server
import threading
import time
from types import SimpleNamespace

import pytest

from local_sagemaker.errors import LocalError, ServiceError
from local_sagemaker.hosting.instance import Instance, NoResponse
from local_sagemaker.hosting.invocation import check_target
from local_sagemaker.hosting.model_server import NotServing, ServerOptions

REQUEST = {"Content-Type": "text/csv", "Accept": "text/plain"}


class Running:
    """A container that is a thread; it adds its name to the body of each request."""

    def __init__(self, task, requests):
        settings = task.env
        self.code = int(settings["EXIT"]) if "EXIT" in settings else None
        self.stopped = False

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                requests.append((settings["NAME"], dict(self.headers), body))
                time.sleep(float(settings.get("DELAY", 0)))
                answer = body + b">" + settings["NAME"].encode()
                self.send_response(int(settings.get("STATUS", 200)))
                self.send_header("Content-Type", f"type/{settings['NAME']}; charset=utf-8")
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", task.port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def poll(self):
        return self.code

    def ending(self):
        return f"exit code {self.code}"

    def stop(self, grace=None):
        if not self.stopped:
            self.stopped = True
            self.server.shutdown()
            self.server.server_close()
        return 0


class World:
    """What an instance runs in, and what it did there."""

    def __init__(self, folder):
        self.tasks, self.running, self.requests, self.observed, self.streams = [], {}, [], [], {}
        self.context = SimpleNamespace(
            runner=SimpleNamespace(start=self.start, remove=lambda path: None),
            work=lambda name: folder / name,
            s3=SimpleNamespace(exceptions=SimpleNamespace(ClientError=KeyError)),
        )

    def start(self, task, sink):
        self.tasks.append(task)
        running = self.running[task.env["NAME"]] = Running(task, self.requests)
        return running

    def stream(self, container):
        lines = self.streams[container] = []
        return SimpleNamespace(write=lines.append, close=lambda: lines.append("closed"))

    def instance(self, containers, mode="Serial", **options):
        options = {"start_seconds": 5.0, **options}
        options = ServerOptions(
            {"ALL": "1"}, observe=lambda *seen: self.observed.append(seen), **options
        )
        model = {"Containers": containers, "InferenceExecutionConfig": {"Mode": mode}}
        return Instance(self.context, model, self.stream, options)


def container(name, hostname=None, **environment):
    entry = {"Image": name, "Environment": {"NAME": name, **environment}}
    return {**entry, "ContainerHostname": hostname} if hostname else entry


@pytest.fixture
def world(tmp_path):
    found = World(tmp_path)
    yield found
    for running in found.running.values():
        running.stop()


def test_each_response_is_the_request_of_the_next_container(world):
    instance = world.instance([container("a"), container("b"), container("c")])
    answer = instance.invoke(b"x", {**REQUEST, "X-Amzn-SageMaker-Custom-Attributes": "mine"})
    assert (answer.status, answer.body, answer.container) == (200, b"x>a>b>c", "container-3")
    assert answer.content_type == "type/c; charset=utf-8"
    assert [(name, body) for name, _, body in world.requests] == [
        ("a", b"x"),
        ("b", b"x>a"),
        ("c", b"x>a>b"),
    ]
    headers = [seen for _, seen, _ in world.requests]
    types = [seen["Content-Type"] for seen in headers]
    assert types == ["text/csv", "type/a; charset=utf-8", "type/b; charset=utf-8"]
    assert [seen.get("Accept") for seen in headers] == [None, None, "text/plain"]
    assert {seen["X-Amzn-SageMaker-Custom-Attributes"] for seen in headers} == {"mine"}
    assert [name for name, _ in world.observed] == ["container-1", "container-2", "container-3"]
    assert (instance.count, instance.errors, len(instance.latencies)) == (1, 0, 1)
    assert set(world.streams) == {"container-1", "container-2", "container-3"}
    instance.stop()
    assert all(running.stopped for running in world.running.values())
    assert all(lines == ["closed"] for lines in world.streams.values())


def test_each_container_has_its_own_environment_and_ports(world):
    world.instance([container("a", MINE="1"), container("b", SAGEMAKER_BIND_TO_PORT="1")]).stop()
    first, second = sorted(world.tasks, key=lambda task: task.image)
    assert (first.env["MINE"], first.env["ALL"], second.env["ALL"]) == ("1", "1", "1")
    assert "MINE" not in second.env
    for task, port, ports in ((first, 8080, "23000-23499"), (second, 8081, "23500-23999")):
        assert task.container_port == port
        assert task.env["SAGEMAKER_BIND_TO_PORT"] == str(port)
        assert task.env["SAGEMAKER_SAFE_PORT_RANGE"] == ports
    assert first.base != second.base


def test_an_only_container_is_as_it_was(world):
    instance = world.instance([container("a", "ignored")])
    answer = instance.invoke(b"x", REQUEST)
    assert (answer.body, answer.container) == (b"x>a", "primary")
    assert world.requests[0][1]["Accept"] == "text/plain"
    assert "SAGEMAKER_BIND_TO_PORT" not in world.tasks[0].env
    assert (set(world.streams), world.observed) == ({""}, [])
    instance.stop()


def test_an_error_ends_the_chain_and_has_the_name_of_its_container(world):
    instance = world.instance([container("a", "one"), container("b", "two", STATUS="418")])
    answer = instance.invoke(b"x", REQUEST)
    assert (answer.status, answer.container, answer.body) == (418, "two", b"x>a>b")
    instance.stop()
    instance = world.instance([container("c", "one", STATUS="500"), container("d", "two")])
    answer = instance.invoke(b"x", REQUEST)
    assert (answer.status, answer.container, answer.body) == (500, "one", b"x>c")
    assert "d" not in [name for name, _, _ in world.requests]
    assert (instance.count, instance.errors) == (1, 1)
    instance.stop()


def test_a_response_may_be_too_large_for_the_next_container(world):
    instance = world.instance([container("a", "one"), container("b", "two")], max_between=1 << 20)
    assert instance.invoke(b"x" * ((1 << 20) - 2), REQUEST).status == 200
    text = "from one to two is 1048577 bytes, which has exceeded the maximum limit of 1 MB"
    with pytest.raises(NoResponse, match=text) as raised:
        instance.invoke(b"x" * ((1 << 20) - 1), REQUEST)
    assert raised.value.status == 0
    instance.stop()


def test_a_container_that_does_not_answer_is_named(world):
    instance = world.instance([container("a"), container("b", DELAY="5")])
    with pytest.raises(NoResponse, match="response from container container-2[.]") as raised:
        instance.invoke(b"x", REQUEST, timeout=0.3)
    assert raised.value.status == 0
    world.running["a"].stop()
    with pytest.raises(NoResponse, match="The container container-1 did not answer: ") as raised:
        instance.invoke(b"x", REQUEST)
    assert (raised.value.status, instance.errors) == (500, 2)
    instance.stop()


def test_all_containers_that_do_not_start_are_named_and_the_others_stopped(world):
    parts = [container("a", EXIT="3"), container("b"), container("c", EXIT="4")]
    with pytest.raises(NotServing, match="container-1: .*code 3.* container-3: .*code 4") as raised:
        world.instance(parts)
    assert raised.value.names == "container-1, container-3"
    assert all(running.stopped for running in world.running.values())
    with pytest.raises(NotServing) as raised:
        world.instance([container("d", EXIT="5")])
    assert raised.value.names == "primary container"


def test_a_model_that_cannot_be_downloaded_is_named(world):
    def download(*_):
        raise KeyError("NoSuchKey")

    world.context.s3.download_fileobj = download
    missing = {**container("b", "two"), "ModelDataUrl": "s3://bucket/none.tar.gz"}
    text = 'container "two" from URL: "s3://bucket/none.tar.gz"'
    with pytest.raises(LocalError, match=text):
        world.instance([container("a", "one"), missing])
    assert world.running["a"].stopped


def test_a_request_names_its_container_in_mode_direct(world):
    instance = world.instance([container("a", "one"), container("b", "two")], "Direct")
    answer = instance.invoke(b"x", REQUEST, target="two")
    assert (answer.body, answer.container) == (b"x>b", "two")
    assert world.requests[0][1]["Accept"] == "text/plain"
    assert [name for name, _ in world.observed] == ["two"]
    check_target(instance, "e", "one")
    with pytest.raises(ServiceError, match="endpoint e, which has one, two; got three"):
        check_target(instance, "e", "three")
    with pytest.raises(ServiceError, match="endpoint e, which has one, two; it is missing"):
        check_target(instance, "e", None)
    instance.stop()
    instance = world.instance([container("c", "one"), container("d", "two")])
    check_target(instance, "e", None)
    with pytest.raises(ServiceError, match="one does not apply to endpoint e"):
        check_target(instance, "e", "one")
    instance.stop()
