"""A tiny detector with a memory, the one before it, and their page on a free port."""

import json
import threading
import urllib.error
import urllib.request
from functools import partial

import pytest
import uvicorn

from ms2a.config import load_config
from ms2a.web.app import make_app
from ms2a.web.serve import make_page
from tests.tiny import calibrate, make_checkpoint, make_config, make_domains, make_memory

CLASSES = ("part", "plate")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """As a pipeline's work folder: configs, base/latest.pth, target_training/latest.pth."""
    folder = tmp_path_factory.mktemp("web")
    data = make_domains(folder / "data", CLASSES)
    for stage, name, memory in (("base", "base", None), ("target_training", "target_training", make_memory(folder))):
        config = make_config(folder / "configs" / f"{name}.py", data, CLASSES, memory)
        (folder / stage).mkdir()
        checkpoint = make_checkpoint(folder / stage / "latest.pth", config, CLASSES, seed=len(stage))
        calibrate(checkpoint, config)
    return folder


@pytest.fixture(scope="session")
def detector_files(folder):
    return folder / "configs" / "target_training.py", folder / "target_training" / "latest.pth"


@pytest.fixture(scope="session")
def page(detector_files):
    config, checkpoint = detector_files
    return make_page(load_config(config), checkpoint, device="cpu")


class Server:
    """A page that is served from a thread."""

    def __init__(self, page):
        config = uvicorn.Config(make_app(page), port=0, log_level="warning", lifespan="off")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive()
        self.port = self.server.servers[0].sockets[0].getsockname()[1]

    def ask(self, path, data=None, **headers):
        """Status, headers and body."""
        address = f"http://127.0.0.1:{self.port}{path}"
        headers = {"Content-Type": "application/octet-stream"} | headers
        try:
            with urllib.request.urlopen(urllib.request.Request(address, data, headers), timeout=120) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def json(self, path, data=None, **headers):
        status, _, body = self.ask(path, data, **headers)
        return status, json.loads(body)

    def stop(self):
        self.server.should_exit = True
        self.thread.join(10)


@pytest.fixture(scope="session")
def serve():
    """Serves pages for the rest of the session."""
    servers = []

    def start(page):
        servers.append(Server(page))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def server(serve, page):
    return serve(page)


@pytest.fixture(scope="session")
def detect(server):
    return partial(server.json, "/detect")
