"""The command line of the runtime: prints one line of JSON a picture."""

import argparse
import json
import sys
from collections.abc import Sequence

from . import ENGINES, PRECISIONS, ExportedDetector, ExportError
from .detector import SCORE_THR


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m ms2a.runtime", description=__doc__.splitlines()[0])
    parser.add_argument("detector", help="an .onnx file of ms2a export")
    parser.add_argument("images", nargs="+", help="pictures")
    parser.add_argument("--engine", choices=("auto", *ENGINES), default="auto")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--domain", help="whose memory is read, where the file holds several")
    parser.add_argument("--score-thr", type=float, default=SCORE_THR, help="lowest score (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="of the engine (default: one a core)")
    parser.add_argument("--batch", type=int, default=8, help="pictures at once (default: %(default)s)")
    args = parser.parse_args(argv)
    if args.batch < 1:
        parser.error(f"argument --batch: {args.batch} is below 1")
    detector = ExportedDetector(args.detector, args.engine, args.precision, args.threads)
    for start in range(0, len(args.images), args.batch):
        paths = args.images[start : start + args.batch]
        for path, found in zip(paths, detector(paths, args.domain, args.score_thr, args.batch), strict=True):
            rows = zip(found.boxes_xyxy.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True)
            boxes = [dict(name=detector.classes[n], label=n, score=score, box_xyxy=box) for box, score, n in rows]
            print(json.dumps(dict(image=path, detections=boxes)), flush=True)


if __name__ == "__main__":
    try:
        main()
    except ExportError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
