"""The page in a real browser that reaches no other machine: desktop and phone."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.tiny import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
BROWSERS, DRIVER = ("chromium", "chromium-browser", "google-chrome"), "chromedriver"
# Drops a file of the page's own making on an element, as a hand does.
DROP = """
const [element, name, bytes] = arguments, data = new DataTransfer();
data.items.add(new File([Uint8Array.from(bytes)], name));
for (const kind of ["dragenter", "dragover", "drop"])
  element.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
"""


@pytest.fixture(scope="module")
def address(folder):
    """The page as its command serves it, of a pipeline's work folder."""
    command = [
        sys.executable,
        str(ROOT / "tools/demo.py"),
        str(folder),
        "--port",
        "0",
        "--share",
        "no",
        "--device",
        "cpu",
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    line = server.stdout.readline()
    yield re.search(r"http://127\.0\.0\.1:\d+", line)[0]
    server.send_signal(signal.SIGINT)
    assert server.wait(60) in (0, 130, -signal.SIGINT)


@pytest.fixture(scope="module", params=["desktop", "phone"])
def browser(request, tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    binary = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not binary or not shutil.which(DRIVER):
        pytest.skip("no Chromium with its driver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,900"):
        options.add_argument(argument)
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which(DRIVER)))
    phone = request.param == "phone"
    driver.width = 390 if phone else 1280
    metrics = dict(width=driver.width, height=844, deviceScaleFactor=2 if phone else 1, mobile=phone)
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.downloads = tmp_path_factory.mktemp("downloads")
    driver.execute_cdp_cmd("Page.setDownloadBehavior", dict(behavior="allow", downloadPath=str(driver.downloads)))
    yield driver
    driver.quit()


def until(condition, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.2)
    raise AssertionError("waited in vain")


def one(browser, selector):
    return browser.find_element("css selector", selector)


def boxes(browser):
    """Of the two panels, corners and sizes of the boxes."""
    return browser.execute_script("""
        const numbers = (rect) => ["x", "y", "width", "height"].map((key) => rect.getAttribute(key));
        const panels = [...document.querySelectorAll("#panels .frame")];
        return panels.map((frame) => [...frame.querySelectorAll("rect")].map(numbers));
    """)


def requests_of(browser):
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [
        message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"
    ]


def set_score(browser, value):
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))"
    browser.execute_script(script, one(browser, "#score"), value)


def test_a_picture_is_dropped_and_looked_at(browser, address, folder):
    browser.get(address)
    until(lambda: len(browser.find_elements("css selector", "#domain option")) == 3)
    assert one(browser, "#title").text == "day → night" and not one(browser, "#result").is_displayed()
    set_score(browser, 0.05)
    picture = folder / "data/night/images/001.png"
    browser.execute_script(DROP, one(browser, "#drop"), "my <b>picture</b>.png", list(picture.read_bytes()))
    until(lambda: one(browser, "#result").is_displayed() and len(boxes(browser)) == 2 and boxes(browser)[1])
    night = boxes(browser)
    assert one(browser, "#panels img").get_property("naturalWidth") == 96
    assert one(browser, "#reading-domain").text == "night" and one(browser, "#reading").is_displayed()

    # Another memory, then none.
    pick = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change', {bubbles: true}))"
    for domain in ("day", "none"):
        browser.execute_script(pick, one(browser, "#domain"), domain)
        until(lambda: one(browser, "#status").text == "" and boxes(browser)[1] != night[1])
        assert boxes(browser)[0] == night[0]  # the base detector reads no memory
    until(lambda: not one(browser, "#reading").is_displayed())
    browser.execute_script(pick, one(browser, "#domain"), "night")
    until(lambda: boxes(browser) == night and one(browser, "#reading").is_displayed())

    # The window that is pointed at decides what is bright.
    opacities = "return [...document.querySelectorAll('#reading-memory rect')].map((rect) => rect.style.fillOpacity)"
    point = """
    const [frame, x, y] = arguments, at = frame.getBoundingClientRect();
    const place = { clientX: at.left + x * at.width, clientY: at.top + y * at.height };
    frame.dispatchEvent(new PointerEvent("pointermove", place));
    """
    seen = []
    for place in (0.05, 0.95):
        browser.execute_script(point, one(browser, "#reading-picture"), place, place)
        seen.append(browser.execute_script(opacities))
    assert seen[0] != seen[1] and "Row 10, column 10 of the picture" in one(browser, "#reading-words").text

    # Fewer boxes above a higher score; what is downloaded is what is shown.
    count = len(night[1])
    browser.execute_script("arguments[0].click()", one(browser, "#download"))
    (saved,) = until(lambda: [path for path in browser.downloads.iterdir() if path.suffix == ".json"])
    coco = until(lambda: json.loads(saved.read_text() or "null"))
    assert len(coco["annotations"]) == count and coco["images"][0]["file_name"] == "my <b>picture</b>.png"
    assert [category["name"] for category in coco["categories"]] == ["part", "plate"]
    assert min(item["score"] for item in coco["annotations"]) >= 0.05
    set_score(browser, 0.95)
    assert len(boxes(browser)[1]) < count

    # An example, and what is no picture.
    one(browser, "#examples button").click()
    until(lambda: one(browser, "#status").text == "")
    browser.execute_script(DROP, one(browser, "#drop"), "x.png", [104, 101, 108, 108, 111])
    until(lambda: "this is no picture" in one(browser, "#status").text)
    severe = [entry for entry in browser.get_log("browser") if "415" not in entry["message"]]
    assert severe == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= browser.width
    asked = [url for url in requests_of(browser) if not url.startswith(("data:", "blob:"))]
    assert asked and all(url.startswith(address) for url in asked)
    assert not browser.find_elements("css selector", "#title b, figcaption b b")


def test_a_report_opens_from_disk(browser, folder, tmp_path):
    """Boxes follow the slider, the order is that of the choice, the console stays empty, nobody is asked."""
    config, checkpoint = folder / "configs/target_training.py", folder / "target_training/latest.pth"
    command = [sys.executable, "-m", "ms2a.cli"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    arguments = ["test", config, checkpoint, "--eval", "bbox", "--work-dir", tmp_path, "--device", "cpu"]
    subprocess.run([*command, *map(str, arguments)], env=environment, check=True, capture_output=True)
    subprocess.run([*command, "report", str(tmp_path)], env=environment, check=True, capture_output=True)
    browser.get_log("browser"), browser.get_log("performance")
    browser.get((tmp_path / "report.html").as_uri())
    cards = until(lambda: browser.find_elements("css selector", "#pictures .card"))
    assert len(cards) == 4 and len(browser.find_elements("css selector", ".plot svg")) >= 2

    def rects():
        return len(browser.find_elements("css selector", "#pictures .frame rect:not(.dotted)"))

    set_score(browser, 0.05)
    many = rects()
    set_score(browser, 0.95)
    assert rects() < many and "at this score" in one(browser, "#gallery-sum").text
    names = {}
    for order in ("errors", "fewest"):
        script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change', {bubbles: true}))"
        browser.execute_script(script, one(browser, "#sort"), order)
        told = [element.text for element in browser.find_elements("css selector", ".card .head span")]
        numbers = [[int(number) for number in re.findall(r"\d+", text)] for text in told]
        names[order] = [objects - found + wrong for found, objects, wrong in numbers]
    assert names["errors"] == sorted(names["errors"], reverse=True) and names["fewest"] == sorted(names["errors"])
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= browser.width
    assert all(url.startswith(("file:", "data:")) for url in requests_of(browser))
