"""The network by oneDNN's packed convolutions, to what torch offers publicly for the same folded network.

Public are the network as it is, ``torch.jit.freeze`` with ``torch.jit.optimize_for_inference``, and ``torch.compile``
(``--compile 1``; it compiles for minutes first).
"""

import copy
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from benchmarks.compare import parse_args, report, time_in_turn
from benchmarks.detectors import PLAIN, random_detector
from ms2a.engine.fast_inference import fold_batch_norms, speed_up


class Network(nn.Module):
    """Backbone, neck and the head's convolutions of a detector: images → the head's maps, level by level."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.backbone, self.neck, self.head = model.backbone, model.neck, model.bbox_head

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) → class, box and objectness maps of all levels."""
        return [maps for kind in self.head(self.neck(self.backbone(images))) for maps in kind]


def forms(model: nn.Module, images: Tensor, compiled: bool) -> dict[str, Callable[[], list[Tensor]]]:
    """The folded network in every form, as functions of nothing; the packed one comes last."""
    folded = Network(fold_batch_norms(copy.deepcopy(model)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(folded, images, check_trace=False)
        frozen = torch.jit.optimize_for_inference(torch.jit.freeze(traced.eval()))
    networks = {"as it is": folded, "torch.jit": frozen}
    if compiled:
        networks["torch.compile"] = torch.compile(folded)
    networks["packed"] = Network(speed_up(copy.deepcopy(model)))
    return {name: lambda network=network: network(images) for name, network in networks.items()}


@torch.no_grad()
def main(argv: Sequence[str] | None = None) -> None:
    """Times all forms on the same images and compares what they give."""
    args = parse_args(__doc__, argv, batch=8, height=128, width=320, widen_factor=0.25, compile=0)
    _, model = random_detector(PLAIN, args.widen_factor, size_hw=(args.height, args.width))
    images = torch.rand(args.batch, 3, args.height, args.width).to(memory_format=torch.channels_last) * 255
    runs = forms(model.eval(), images, bool(args.compile))
    expected, *others = (run() for run in runs.values())
    for found in others:
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    seconds = dict(zip(runs, time_in_turn(list(runs.values()), args.rounds), strict=True))
    packed = seconds.pop("packed")
    size = f"{args.batch} of {args.height}x{args.width}, width {args.widen_factor}"
    for name, times in seconds.items():
        report(f"Convolutions ({size}): {name} to packed", times, packed, "–", args.results)


if __name__ == "__main__":
    main()
