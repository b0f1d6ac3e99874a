"""What to do next, in plain words, from what a run has shown. Rules of thumb: each names the figure it goes by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ms2a.analysis.error_analysis import BACKGROUND, DUPLICATE, LOOSE_BOX, MISSED
from ms2a.analysis.report.plots import running_mean
from ms2a.analysis.report.scores import SIZES, Objects, Scores

# What is worth a word: points of mAP50 that errors cost or that scores differ by, and a share of the loss.
WORTH_POINTS, WORTH_MORE, STILL_FALLING = 3.0, 10.0, 0.03
FEW_PICTURES, FEW_OBJECTS, FEW_SIZE = 50, 200, 20
SAME_EVERYWHERE = 0.05
_REMEDIES = {
    LOOSE_BOX: "Most is lost by loose boxes: train longer (epochs) and give the network a larger input (image_size). "
    "Look at the annotations too: boxes that are drawn loosely teach loose boxes.",
    MISSED: "Most is lost by missed objects: annotate target pictures that show what is missed, add unlabelled ones of "
    "the same kind, and take a larger input (image_size) if they are small.",
    BACKGROUND: "Most is lost by boxes on the background, or of the wrong class: add annotated target pictures without "
    "objects, and check the test annotations, which may lack objects that are there.",
    DUPLICATE: "Most is lost by second boxes of one object: lower the overlap that is let through "
    "(model.test_cfg.nms.iou_threshold), or train longer, so that one box wins.",
}


@dataclass(frozen=True)
class Advice:
    """One piece of advice.

    Attributes:
        text: what to do and why.
        figure: the number that it goes by.
    """

    text: str
    figure: str


@dataclass(frozen=True)
class Tested:
    """One domain's scores; ``before`` is None where one detector was tested."""

    __test__ = False  # not a test case, whatever its name says to pytest

    domain: str
    objects: Objects
    before: Scores | None
    after: Scores


def advise(
    target: Tested | None,
    source: Tested | None,
    losses: Mapping[str, Sequence[Mapping[str, Any]]],
    varies: float | None,
) -> list[Advice]:
    """What follows from a run, what weighs most first.

    Args:
        target: the target's test, or the only one.
        source: the source's test.
        losses: for each stage the rows of its ``training.csv``.
        varies: how much the attention depends on the window that asks, 0–1, mean over pictures and levels.
    """
    found: list[Advice] = []
    if target and target.after.map50 is not None:
        found += _of_gain(target, source) + _of_errors(target.after) + _of_classes(target) + _of_sizes(target)
    found += [advice for stage, rows in losses.items() for advice in _of_losses(stage, rows)]
    if varies is not None and varies < SAME_EVERYWHERE:
        text = "Every part of a picture reads the same of the memory. Its content hardly matters then; longer source "
        text += "training or colours in the memory (colour_prob) may bring more than more prototypes."
        found.append(Advice(text, f"attention varies by {varies:.2f} of 1 between windows"))
    if target:
        found += _of_certainty(target.objects)
    return found


def _of_gain(target: Tested, source: Tested | None) -> list[Advice]:
    advice = []
    if target.before and target.before.map50 is not None:
        gain = target.after.map50 - target.before.map50
        figure = f"mAP50 on {target.domain}: {target.before.map50:.1f} before, {target.after.map50:.1f} after"
        if gain < 0:
            text = "The adaptation made the detector worse. Check that target annotations and test set follow the same "
            text += "rules, look at the training pictures, and try fewer epochs of target training or a lower rate."
            advice.append(Advice(text, figure))
        elif gain < WORTH_POINTS:
            text = "The adaptation brought little. If the base detector is good already, the domains may hardly "
            text += "differ; else annotate more target pictures, which brings most at the beginning."
            advice.append(Advice(text, figure))
    if source and source.before and source.before.map50 is not None and source.after.map50 is not None:
        loss = source.before.map50 - source.after.map50
        if loss > WORTH_MORE:
            text = f"The detector forgot much of {source.domain}. If you need it there, use the base detector for that "
            text += "domain, or repeat the target's pictures less often (target_times or target_samples)."
            figure = f"mAP50 on {source.domain}: {source.before.map50:.1f} before, {source.after.map50:.1f} after"
            advice.append(Advice(text, figure))
    return advice


def _of_errors(scores: Scores) -> list[Advice]:
    known = [(points, kind) for kind, points in scores.errors.items() if points >= WORTH_POINTS]
    if not known:
        return []
    points, kind = max(known)
    return [Advice(_REMEDIES[kind], f"mAP50 would be {points:.1f} points higher without them")]


def _of_classes(target: Tested) -> list[Advice]:
    known = {name: own[1] for name, own in target.after.classes.items() if own[1] is not None}
    if len(known) < 2:
        return []
    worst = min(known, key=known.get)
    if known[worst] > target.after.map50 - WORTH_MORE:
        return []
    text = f"The class {worst} lags behind: annotate target pictures that show it"
    return [Advice(f"{text}.", f"AP50 {known[worst]:.1f}, all classes {target.after.map50:.1f}")]


def _of_sizes(target: Tested) -> list[Advice]:
    small, large = SIZES[0], SIZES[-1]
    counts, scores = target.objects.sizes, target.after.sizes
    others = [scores[size] for size in (SIZES[1], large) if counts[size] >= FEW_SIZE and scores[size] is not None]
    if counts[small] < FEW_SIZE or scores[small] is None or not others:
        return []
    if scores[small] > max(others) - 2 * WORTH_MORE:
        return []
    text = "Small objects are found far worse than others: a larger input (image_size) shows them to the network in "
    text += "more pixels."
    return [Advice(text, f"mAP {scores[small]:.1f} on small objects, {max(others):.1f} on larger ones")]


def _of_losses(stage: str, rows: Sequence[Mapping[str, Any]]) -> list[Advice]:
    """Of the last quarter of a stage, in the loss of the boxes: the total changes when the last epochs add a part."""
    losses = [row["loss_bbox"] for row in rows if row["mode"] == "train" and "loss_bbox" in row]
    if len(losses) < 8:
        return []
    smooth = running_mean(losses)
    earlier = smooth[len(smooth) * 3 // 4 - 1]
    falls = (earlier - smooth[-1]) / max(earlier, 1e-12)
    if falls < STILL_FALLING:
        return []
    text = f"The loss of {stage.replace('_', ' ')} still fell at its end: more epochs of it should help."
    return [Advice(text, f"box loss {earlier:.2f} → {smooth[-1]:.2f} in the last quarter")]


def _of_certainty(objects: Objects) -> list[Advice]:
    count = sum(objects.classes.values())
    if objects.images >= FEW_PICTURES and count >= FEW_OBJECTS:
        return []
    text = "The test set is small, so that scores move by some points from one draw of pictures to the next. Compare "
    text += "runs on more test pictures, or over several seeds, before you decide by a small difference."
    return [Advice(text, f"{objects.images} test pictures, {count} objects")]
