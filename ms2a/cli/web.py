"""Serves a page to try a detector on: drop a picture, choose a domain, see boxes before and after.

CONFIG CHECKPOINT, or WORK_DIR of ms2a pipeline. The page is for this machine (127.0.0.1) and needs no network.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ms2a.cli.command import add_cfg_options, add_device, add_engine, run_command
from ms2a.errors import UserError

PORT = 7860


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("config", help="config of the detector, or the work folder of a pipeline")
    parser.add_argument("checkpoint", nargs="?", help="its trained weights, which hold the memory")
    parser.add_argument(
        "--base",
        nargs=2,
        metavar=("CONFIG", "CHECKPOINT"),
        help="the detector before the adaptation (default: that of the checkpoint's work folder, if there is one)",
    )
    parser.add_argument("--examples", nargs="+", help="pictures or folders to pick from (default: the test set)")
    parser.add_argument("--port", type=int, default=PORT, help="0 for a free one; default %(default)s")
    parser.add_argument("--share", choices=["no"], default="no", help="the page is never opened to other machines")
    add_device(parser)
    add_engine(parser)
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Loads the detectors and serves the page."""
    config, checkpoint = _detector_of(args.config, args.checkpoint)
    from ms2a.config import load_config

    try:
        from ms2a.web.serve import make_page, serve
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn", "anyio"):
            raise
        raise UserError(f"the page needs {error.name}, which is not installed; run: pip install 'ms2a[demo]'") from None
    cfg = load_config(config, args.cfg_options)
    page = make_page(cfg, checkpoint, args.base, args.examples or (), args.device, args.engine, args.precision)
    serve(page, args.port)


def _detector_of(config: str, checkpoint: str | None) -> tuple[Path, Path]:
    """Config and checkpoint; of a pipeline's work folder the adapted detector's."""
    if checkpoint:
        return Path(config), Path(checkpoint)
    folder = Path(config)
    if not folder.is_dir():
        raise UserError(
            f"`checkpoint` of config {config} is missing; only the work folder of a pipeline can stand alone"
        )
    return folder / "configs" / "target_training.py", folder / "target_training" / "latest.pth"


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
