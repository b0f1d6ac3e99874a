"""Files with an address: taken from a folder or the cache, else downloaded whole from a server on this machine."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ms2a.engine.downloads import cache_folder, fetched
from ms2a.errors import UserError

CONTENT = bytes(range(256)) * 5000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NAME = f"yolox_s-{DIGEST[:8]}.pth"
assert set(DIGEST[:8]) & set("abcdef")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        if "absent" in self.path:
            return self.send_error(404)
        self.send_response(200)
        if "unsized" not in self.path:
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: 1000 if "cut" in self.path else None])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def in_cache():
    return sorted(path.name for path in cache_folder().iterdir()) if cache_folder().exists() else []


def test_a_file_is_downloaded_once_and_named(server, capsys):
    for _ in range(2):
        path = fetched(f"{server.url}/{NAME}", "weights")
        assert path.read_bytes() == CONTENT and in_cache() == [NAME]
    assert server.asked == [f"/{NAME}"]
    err = capsys.readouterr().err
    assert err.startswith(f"{NAME}: 0.00 of ") and "\r" not in err and "checksum" not in err


def test_a_file_without_a_checksum_is_said_to_have_none(server, capsys):
    # The second one's number is a date: a checksum of eight digits without a letter is one in forty.
    for name in ("yolox_nano.pth", "nano-20261127.pth", "unsized.pth"):
        assert fetched(f"{server.url}/{name}?raw=1", "weights") == cache_folder() / name
        assert f"warning: {name} states no checksum" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("yolox_s-abcdef01.pth", f"its checksum is {DIGEST[:8]}, expected abcdef01"),
        (f"cut_{NAME}", f"it was cut off: 1000 of {len(CONTENT)} bytes arrived"),
        ("cut.pth", "it was cut off: 1000 of"),
        (f"unsized_cut_{NAME}", "its checksum is"),
        ("absent.pth", "HTTP status 404"),
    ],
)
def test_what_does_not_arrive_whole_leaves_nothing(server, name, reason):
    with pytest.raises(UserError) as error:
        fetched(f"{server.url}/{name}", "COCO weights of size s")
    told = str(error.value)
    assert told.startswith(f"COCO weights of size s {server.url}/{name} cannot be downloaded ({reason}")
    assert told.endswith(f"put {name} from there into a folder and set MS2A_WEIGHTS to that folder")
    assert in_cache() == [] and "\n" not in told


def test_without_network_the_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MS2A_WEIGHTS", str(tmp_path))
    with pytest.raises(UserError, match=rf"refused.*; put s.pth from there into {tmp_path}, which MS2A_WEIGHTS names"):
        fetched("https://somewhere.invalid/s.pth", "weights")
    monkeypatch.setenv("MS2A_WEIGHTS", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="MS2A_WEIGHTS=.*nowhere is no folder"):
        fetched("https://somewhere.invalid/s.pth", "weights")


def test_the_named_folder_is_looked_at_before_cache_and_network(server, tmp_path, monkeypatch):
    fetched(f"{server.url}/{NAME}", "weights")
    monkeypatch.setenv("MS2A_WEIGHTS", str(tmp_path))
    assert fetched(f"{server.url}/{NAME}", "weights") == cache_folder() / NAME
    (tmp_path / NAME).write_bytes(CONTENT)
    assert fetched(f"{server.url}/{NAME}", "weights") == tmp_path / NAME
    (tmp_path / NAME).write_bytes(CONTENT[:-1])
    with pytest.raises(
        UserError, match=rf"weights {tmp_path / NAME}: its checksum is .*; it is damaged, copy it again"
    ):
        fetched(f"{server.url}/{NAME}", "weights")
    assert server.asked == [f"/{NAME}"]


def test_a_damaged_file_in_the_cache_is_told(server):
    fetched(f"{server.url}/{NAME}", "weights").write_bytes(b"half")
    with pytest.raises(UserError, match="it is damaged, delete it, then it is downloaded again"):
        fetched(f"{server.url}/{NAME}", "weights")
