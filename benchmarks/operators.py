"""NMS and soft-NMS of MS2A against mmcv's compiled operators: time on 2,000 boxes, one thread.

The boxes are spread (2,000 places, most stay) or crowded (60 places, as a detector gives them). Without compiled
operators there is nothing to compare with, which is said.
"""

import importlib.util
from collections.abc import Sequence
from types import ModuleType

import torch
from torch import Tensor

from benchmarks.compare import parse_args, report, time_in_turn
from ms2a import operators

METHODS = {"linear": operators.LINEAR, "gaussian": operators.GAUSSIAN}


def compiled_operators() -> ModuleType | None:
    """The module ``mmcv._ext`` of C++, None where mmcv was built without it."""
    spec = operators.find_compiled()
    if spec is None:
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def random_boxes(number: int, places: int) -> tuple[Tensor, Tensor]:
    """Boxes (N, 4) of 10 to 200 pixels on a picture of 640 x 640, and scores (N,)."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.rand(places, 2, generator=generator) * 640
    sizes = 10 + torch.rand(places, 2, generator=generator) * 190
    boxes = torch.cat([centres - sizes / 2, centres + sizes / 2], dim=1)
    chosen = torch.arange(number) if places == number else torch.randint(places, (number,), generator=generator)
    return boxes[chosen] + torch.randn(number, 4, generator=generator) * 4, torch.rand(number, generator=generator)


def main(argv: Sequence[str] | None = None) -> None:
    """Times every operator on both kinds of boxes."""
    args = parse_args(__doc__, argv, boxes=2000)
    compiled = compiled_operators()
    if compiled is None:
        print("mmcv has no compiled operators here, so there is nothing to compare with: tools/setup_env.sh --compiled")
        return
    torch.set_num_threads(1)
    for kind, places in dict(spread=args.boxes, crowded=60).items():
        boxes, scores = random_boxes(args.boxes, places)
        dets = boxes.new_empty(args.boxes, 5)
        for offset in (0, 1):
            sides = [lambda op=op: op.nms(boxes, scores, 0.5, offset) for op in (operators, compiled)]  # noqa: B023
            claim = f"operators: NMS, {kind} boxes, offset {offset}, to mmcv's"
            report(claim, *time_in_turn(sides, args.rounds), "1.0 for offset 0", args.results)
        for name, method in METHODS.items():
            settings = dict(iou_threshold=0.5, sigma=0.5, min_score=1e-3, method=method, offset=0)
            sides = [
                lambda op=op: op.softnms(boxes, scores, dets, **settings)  # noqa: B023
                for op in (operators, compiled)
            ]
            claim = f"operators: soft-NMS {name}, {kind} boxes, to mmcv's"
            report(claim, *time_in_turn(sides, args.rounds), "at most 2", args.results)


if __name__ == "__main__":
    main()
