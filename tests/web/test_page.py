"""What the page's server answers."""

import base64
import json
import socket
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from ms2a.apis.detector import Detector
from ms2a.cli.web import main
from ms2a.config import load_config
from ms2a.errors import UserError
from ms2a.web.app import Page
from ms2a.web.look import LOWEST_SCORE, Viewer, forget
from ms2a.web.serve import make_page

PICTURES = np.random.default_rng(0).integers(0, 256, (50, 48, 72, 3), dtype=np.uint8)


def png(picture):
    return cv2.imencode(".png", picture)[1].tobytes()


def rows(result):
    return np.c_[result.boxes_xyxy, result.scores, result.labels]


def boxes(answer, run="after"):
    return np.array(answer["runs"][run]["boxes"]).reshape(-1, 6)


@pytest.fixture(scope="session")
def own(detector_files):
    """The same detector, asked in Python."""
    return Detector(*detector_files, device="cpu")


def test_the_page_and_its_files_are_served_with_a_policy_that_lets_nothing_else_in(server):
    for path, kind in (("/", "html"), ("/page.css", "css"), ("/report.css", "css"), ("/page.js", "javascript")):
        status, headers, body = server.ask(path)
        assert status == 200 and kind in headers["content-type"] and body
        assert "default-src 'none'" in headers["content-security-policy"]
        assert b"http://" not in body.replace(b"http://www.w3.org/2000/svg", b"") and b"https://" not in body
    assert server.ask("/../app.py")[0] == server.ask("/app.py")[0] == server.ask("/%2e%2e/app.py")[0] == 404


def test_facts(server, folder):
    status, facts = server.json("/facts")
    assert status == 200 and facts["classes"] == ["part", "plate"] and facts["before"] is True
    assert facts["domains"] == ["day", "night", "none"] and facts["default"] == "night"
    assert facts["examples"] == 4 and facts["title"] == "day → night" and str(folder) not in json.dumps(facts)


def test_examples_are_pictures_by_number_only(server, folder):
    status, headers, body = server.ask("/examples/1")
    assert status == 200 and headers["content-type"] == "image/png"
    expected = cv2.imread(str(folder / "data/night/images/002.png"))
    assert np.array_equal(cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR), expected)
    assert server.json("/examples/4") == (404, {"error": "there is no example 4; there are 4"})
    assert server.ask("/examples/-1")[0] == server.ask("/examples/..%2f..%2fapp.py")[0] == 404


@pytest.mark.parametrize("domain", ["day", "night", None])
def test_answers_are_the_detectors(detect, server, own, folder, domain):
    status, answer = server.json("/detect" + (f"?domain={domain}" if domain else ""), png(PICTURES[0]))
    assert status == 200 and answer["domain"] == (domain or "night") and answer["size"] == [72, 48]
    expected = rows(own(PICTURES[0], domain=domain, score_thr=LOWEST_SCORE))
    assert len(expected) and boxes(answer) == pytest.approx(expected, abs=0.01)
    base = Detector(folder / "configs/base.py", folder / "base/latest.pth", "cpu")
    assert boxes(answer, "before") == pytest.approx(rows(base(PICTURES[0], score_thr=LOWEST_SCORE)), abs=0.01)
    assert all(run["seconds"] > 0 for run in answer["runs"].values())


def test_domains_and_no_memory_give_different_answers(server, own, detector_files):
    found = {}
    for domain in ("day", "night", "none"):
        _, answer = server.json(f"/detect?domain={domain}", png(PICTURES[1]))
        found[domain] = boxes(answer)
        assert (answer["reading"] is None) == (domain == "none")
    assert not np.array_equal(found["day"], found["night"]) and not np.array_equal(found["none"], found["night"])
    empty = forget(Detector(*detector_files, device="cpu"))
    assert found["none"] == pytest.approx(rows(empty(PICTURES[1], score_thr=LOWEST_SCORE)), abs=0.01)
    # The other detector has kept its memory.
    _, again = server.json("/detect?domain=night", png(PICTURES[1]))
    assert np.array_equal(boxes(again), found["night"])


def test_boxes_that_are_not_finite_are_counted_and_left_out(serve, detector_files, monkeypatch):
    detector = Detector(*detector_files, device="cpu")

    def broken(*_, **__):
        boxes = [np.array([[1, 2, 3, 4, 0.9], [0, 0, np.inf, 4, 0.8], [0, 0, np.nan, 4, 0.7]]), np.zeros((0, 5))]
        return [boxes]

    monkeypatch.setattr(detector, "detect_prepared", broken)
    run = serve(Page(Viewer(lambda: detector))).json("/detect", png(PICTURES[0]))[1]["runs"]["after"]
    assert run["boxes"] == [[1, 2, 3, 4, 0.9, 0]] and run["left_out"] == 2


def test_attention_rows_are_shares(detect):
    reading = detect(png(PICTURES[2]))[1]["reading"]
    assert reading["asks"] == "feature" and len(reading["weights"]) == 3
    for packed in reading["weights"]:
        weights = np.frombuffer(base64.b64decode(packed), "<u2").reshape(100, 100) / 65535
        # The rest of each row is for the coarser windows of the memory.
        assert np.all(weights.sum(1) < 1.001) and np.all(weights.sum(1) > 0.3) and np.ptp(weights) > 0


def test_what_cannot_be_looked_at_is_refused_in_one_line(server, serve, page):
    truncated = png(PICTURES[0])[:-300]
    for data, path, status, words in (
        (b"hello", "/detect", 415, "this is no picture"),
        (b"", "/detect", 415, "this is no picture"),
        (truncated, "/detect", 422, "damaged"),
        (png(PICTURES[0]), "/detect?domain=dusk", 422, "unknown domain 'dusk'"),
        (png(PICTURES[0]), "/detect?domain=../../etc", 422, "unknown domain"),
    ):
        answer = server.json(path, data)
        assert answer[0] == status and words in answer[1]["error"] and "\n" not in answer[1]["error"]
    small = serve(Page(page.viewer, max_bytes=1000))
    assert small.json("/detect", bytes(1001))[0] == 413
    assert small.json("/detect", png(PICTURES[0])[:1000])[0] != 413


def test_a_body_without_a_stated_length_is_cut_off_too(serve, page):
    small = serve(Page(page.viewer, max_bytes=1000))
    with socket.create_connection(("127.0.0.1", small.port), timeout=20) as own:
        head = "POST /detect HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\n"
        own.sendall((head + "Transfer-Encoding: chunked\r\n\r\n").encode())
        own.sendall(b"7d0\r\n" + bytes(2000) + b"\r\n")  # and more would come
        assert b" 413 " in own.recv(200)


def test_other_sites_and_other_names_get_nothing(server):
    assert server.ask("/detect", png(PICTURES[0]), **{"Content-Type": "text/plain"})[0] == 415
    assert server.ask("/facts", Host="elsewhere.example")[0] == 400
    assert server.ask("/detect")[0] == 405


def test_commands_that_cannot_serve_say_why(detector_files, folder, monkeypatch):
    config, checkpoint = map(str, detector_files)
    for arguments, words in (
        ([config], "`checkpoint` of config"),
        ([str(folder / "none"), checkpoint], "does not exist"),
        ([config, checkpoint, "--base", config, str(folder / "none.pth")], "does not exist"),
        ([config, checkpoint, "--examples", str(folder / "none")], "none"),
    ):
        with pytest.raises(UserError, match=words):
            main([*arguments, "--device", "cpu"])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UserError, match="`port=.*in use; choose another"):
            main([str(folder), "--port", str(taken.getsockname()[1]), "--device", "cpu"])


def test_a_detector_without_base_or_memory_has_a_page_too(folder, serve, tmp_path):
    config, checkpoint = folder / "configs/base.py", folder / "base/latest.pth"
    alone = serve(
        make_page(load_config(config), checkpoint, examples=[folder / "data/day/images/001.png"], device="cpu")
    )
    facts = alone.json("/facts")[1]
    assert (facts["domains"], facts["before"], facts["examples"]) == ([], False, 1)
    status, answer = alone.json("/detect", png(PICTURES[0]))
    assert status == 200 and list(answer["runs"]) == ["after"] and answer["reading"] is None


def test_another_engine_finds_the_same_and_is_named(detector_files, own):
    """A file holds one memory and cannot say what is read of it."""
    pytest.importorskip("onnxruntime")
    config, checkpoint = detector_files
    page = make_page(load_config(config), checkpoint, device="cpu", engine="onnxruntime")
    assert page.title == "day → night, onnxruntime in float32"
    found = page.viewer.look(PICTURES[0])
    assert found["reading"] is None and set(found["runs"]) == {"before", "after"}
    expected = rows(own(PICTURES[0], score_thr=LOWEST_SCORE))
    assert np.allclose(found["runs"]["after"]["boxes"], expected, atol=0.02)


def test_the_empty_memory_is_loaded_once(detector_files):
    loaded = []

    def load():
        loaded.append(Detector(*detector_files, device="cpu"))
        return loaded[-1]

    viewer = Viewer(load)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: viewer.look(PICTURES[0], "none"), range(4)))
    assert len(loaded) == 2


@pytest.mark.slow
def test_four_clients_with_fifty_pictures_each_get_their_own_answers(server, own):
    """Each in an order and with domains of its own."""
    domains = ["day", "night"]
    expected = {
        domain: [rows(own(picture, domain=domain, score_thr=LOWEST_SCORE)) for picture in PICTURES]
        for domain in domains
    }
    differs = [
        not np.allclose(one, other) for one, other in zip(*expected.values(), strict=True) if len(one) == len(other)
    ]
    assert not differs or any(differs)

    def client(number):
        wrong = 0
        for index in np.random.default_rng(number).permutation(len(PICTURES)):
            domain = domains[(number + index) % 2]
            status, answer = server.json(f"/detect?domain={domain}", png(PICTURES[index]))
            found, known = boxes(answer), expected[domain][index]
            wrong += status != 200 or found.shape != known.shape or not np.allclose(found, known, atol=0.011)
            wrong += answer["domain"] != domain
        return wrong

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(client, range(4))) == [0, 0, 0, 0]
