"""The page: names are text whatever they hold, plots are those of their figures, and advice follows from them."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from ms2a.analysis.report.advice import Tested, advise
from ms2a.analysis.report.page import duration, render_page
from ms2a.analysis.report.plots import (
    class_curves_plot,
    errors_plot,
    losses_plot,
    precision_recall_plot,
    running_mean,
)
from ms2a.analysis.report.scores import Objects, Scores

NASTY = "<script>alert(1)</script>\"'&$x^2$</script><!-- {{ 7*7 }}"
ZEROS = np.zeros(101)


def scores(map50=50.0, **changes):
    curves = {0.5: np.linspace(1, 0, 101), 0.75: ZEROS}
    sizes = dict(small=25.0, medium=30.0, large=40.0)
    known = Scores(30.0, map50, 25.0, sizes, {"part": (30.0, map50)}, curves, {"part": curves[0.5]}, {})
    return replace(known, **changes)


def outcome(after=None, before=None, domain="night", images=100, objects=900):
    counts = Objects({"part": objects}, dict(small=objects // 3, medium=objects // 3, large=objects // 3), images)
    return Tested(domain, counts, before, after or scores())


class Tags(HTMLParser):
    """The tags of a page, and its text outside scripts and styles."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self._open = [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag):
        self._open = ""

    def handle_data(self, data):
        if self._open not in ("script", "style"):
            self.text.append(data)


def page(**content):
    versions = dict(versions=dict(ms2a="1"), seed=None, git_commit=None, config=None)
    return render_page(dict(title="t", kind="test", provenance=versions, written_by=versions) | content)


def test_names_are_text_whatever_they_hold():
    own = scores(classes={NASTY: (1.0, 2.0), "b": (3.0, 4.0)}, class_curves={NASTY: ZEROS, "b": ZEROS})
    counts = Objects({NASTY: 1, "b": 1}, dict(small=1, medium=1, large=0), 2)
    one = Tested(NASTY, counts, own, own)
    finding = dict(severity="note", what=NASTY, count=1, example=NASTY, remedy=NASTY)
    checked = dict(name=NASTY, images=1, boxes={NASTY: 1}, sizes=[], findings=[finding], sheet=None)
    picture = dict(name=NASTY, domain=NASTY, src="data:,", size=[1, 1], truth=[], runs=dict(before=[], after=[]))
    gallery = dict(pictures=[picture], classes={NASTY: [NASTY]}, totals={NASTY: 1, "other": 0}, unreadable=0)
    gallery |= dict(kinds=[], runs=["before", "after"], lowest=0.05, score_thr=0.3)
    curves = class_curves_plot(own.class_curves, own.class_curves, "c")
    text = page(
        title=NASTY,
        kind="adaptation",
        adapted=True,
        provenance=dict(versions=dict(ms2a=NASTY), seed=1, git_commit=NASTY, config=NASTY),
        domains=[
            dict(tested=one, curves=precision_recall_plot({NASTY: own.curves}, "a"), class_curves=curves, errors=None)
        ],
        data=dict(sets=[checked], findings=[finding]),
        gallery=gallery,
        steps=[dict(name=NASTY, state="done", seconds=1.0, peak_mib=1.0, attempts=1, command=[NASTY])],
        advice=advise(one, one, {}, None),
        notes=[NASTY],
        facts={"checkpoint": NASTY},
        memory=dict(
            domains=[NASTY], sheets=[], pictures=[], levels=1, read=NASTY, asks="feature", varies=[], colours=None
        ),
    )
    plain = page(domains=[], gallery=gallery | dict(pictures=[]))
    seen = Tags(text)
    assert [tag for tag, _ in seen.tags].count("script") == 3  # the data and two of the page's own
    assert [tag for tag, _ in Tags(plain).tags].count("script") == 2
    assert not [value for _, attrs in seen.tags for key, value in attrs.items() if key.startswith("on")]
    told = "".join(seen.text)
    assert told.count(NASTY) > 12 and "49" not in told.replace("{{ 7*7 }}", "")
    data = re.search(r'id="gallery-data">(.*?)</script>', text, re.S)[1]
    assert "<" not in data and ">" not in data


def test_the_page_asks_nobody():
    text = page()
    outside = [
        value
        for tag, attrs in Tags(text).tags
        for key, value in attrs.items()
        if key in ("src", "href") and value and not value.startswith(("#", "data:"))
    ]
    assert outside == [] and "default-src 'none'" in text and "@import" not in text and "url(http" not in text


def test_a_plot_draws_its_curve():
    """The line's ends are the curve's: precision 1 at recall 0 is the highest point, 0 at recall 1 the lowest."""
    svg = str(precision_recall_plot({"night": {0.5: np.linspace(1, 0, 101)}}, "name"))
    assert (
        svg.startswith("<svg ") and 'id="name-figure_1"' in svg and "var(--after)" in svg and "night, IoU 0.50" in svg
    )
    lines = re.findall(r'id="name-line2d_\d+">\s*<path d="(M [^"]*)"[^>]*stroke: var\(--after\)', svg)
    points = np.array([[float(number) for number in part.split()[1:3]] for part in lines[0].strip().splitlines()])
    assert np.all(np.diff(points[:, 0]) > 0) and np.all(np.diff(points[:, 1]) > 0)  # SVG counts from the top


def test_losses_of_a_stage_are_named_and_the_total_is_drawn():
    rows = [
        dict(mode="train", epoch=number / 4, iteration=number, loss=9.0 - number, loss_cls=1.0) for number in range(8)
    ]
    rows += [dict(mode="val", epoch=2.0, iteration=8, night_bbox_mAP=0.1)]
    svg = str(losses_plot(rows, "a"))
    assert "total" in svg and ">cls<" in svg.replace(" ", "") and "var(--series-1)" in svg


def test_running_mean():
    values = np.random.default_rng(0).random(40)
    slow = [
        values[max(0, index - reach) : index + reach + 1].mean()
        for index in range(40)
        for reach in [min(index, 39 - index, 3)]
    ]
    assert running_mean(values) == pytest.approx(slow)
    assert running_mean([2.0]) == [2.0]


def test_what_errors_cost_is_written_beside_the_bars():
    svg = str(errors_plot({"before": {"loose box": 2.0}, "after": {"loose box": 7.5, "missed object": 1.25}}, "a"))
    assert "+7.5" in svg and "+2.0" in svg and "without loose boxes" in svg and "unknown" in svg


@pytest.mark.parametrize(
    "kind, words",
    [
        ("loose box", "larger input"),
        ("missed object", "annotate target pictures"),
        ("background", "without objects"),
        ("duplicate", "nms"),
    ],
)
def test_advice_on_errors_is_about_what_costs_most(kind, words):
    errors = {"loose box": 4.0, "missed object": 4.0, "background": 4.0, "duplicate": 4.0} | {kind: 9.0}
    found = advise(outcome(scores(errors=errors)), None, {}, None)
    assert len(found) == 1 and words in found[0].text and "9.0" in found[0].figure
    assert advise(outcome(scores(errors=dict.fromkeys(errors, 1.0))), None, {}, None) == []


def test_advice_on_gains_and_losses_of_both_domains():
    worse = advise(outcome(scores(40.0), scores(50.0)), None, {}, None)
    little = advise(outcome(scores(51.0), scores(50.0)), None, {}, None)
    well = outcome(scores(80.0), scores(50.0))
    assert "worse" in worse[0].text and "brought little" in little[0].text and advise(well, None, {}, None) == []
    forgotten = advise(well, outcome(scores(60.0), scores(90.0), "day"), {}, None)
    assert "forgot much of day" in forgotten[0].text


def test_advice_on_classes_sizes_and_few_pictures():
    lagging = scores(60.0, classes={"nut": (1.0, 20.0), "plate": (1.0, 90.0), "none": (None, None)})
    assert "class nut lags" in advise(outcome(lagging), None, {}, None)[0].text
    small = scores(sizes=dict(small=5.0, medium=40.0, large=None))
    assert "Small objects" in advise(outcome(small), None, {}, None)[0].text
    assert "small" in advise(outcome(images=10), None, {}, None)[0].text
    nothing = outcome(scores(None, errors={}, sizes={}, classes={}), objects=0, images=500)
    assert [advice.figure for advice in advise(nothing, None, {}, None)] == ["500 test pictures, 0 objects"]


def test_advice_on_a_loss_that_still_falls():
    def rows(values):
        return [dict(mode="train", epoch=1.0, iteration=1, loss=1.0, loss_bbox=value) for value in values]

    falling = advise(None, None, {"base": rows(np.linspace(4, 2, 40)), "target_training": rows([2.0] * 40)}, None)
    assert len(falling) == 1 and "base still fell" in falling[0].text
    assert advise(None, None, {"base": rows([3.0, 1.0])}, None) == []  # too few to say


def test_advice_on_a_memory_that_is_read_alike_everywhere():
    assert "reads the same" in advise(None, None, {}, 0.01)[0].text
    assert advise(None, None, {}, 0.4) == []


def test_times_are_for_people():
    assert [duration(value) for value in (0.4, 99, 100, 3599.6, 7500)] == [
        "0 s",
        "99 s",
        "1 min 40 s",
        "1 h 0 min",
        "2 h 5 min",
    ]
