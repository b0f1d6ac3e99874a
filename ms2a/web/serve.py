"""Starts the page."""

import socket
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from mmcv import Config

from ms2a.apis.detector import Detector
from ms2a.datasets.image_folder import find_images
from ms2a.datasets.load_picture import read_picture
from ms2a.errors import UserError
from ms2a.web.app import Page, make_app
from ms2a.web.look import Viewer

HOST = "127.0.0.1"
NUM_EXAMPLES = 8


def make_page(
    cfg: Config,
    checkpoint: str | Path,
    base: tuple[str | Path, str | Path] | None = None,
    examples: Sequence[str | Path] = (),
    device: str | None = None,
    engine: str = "auto",
    precision: str = "float32",
) -> Page:
    """The page of a detector.

    Args:
        cfg: from :func:`ms2a.config.load_config`.
        checkpoint: its weights.
        base: config and checkpoint of the detector before the adaptation; None: those beside the checkpoint in a
            pipeline's work folder, if there are some.
        examples: folders or pictures; default: some of the config's test set, the target's.
        device: see :class:`ms2a.apis.detector.Detector`.
        engine: what runs both detectors, likewise. Only torch shows what is read of the memory.
        precision: likewise.

    Raises:
        UserError: what a detector refuses, detectors of different classes, or examples that are no pictures.
    """
    found = base or _base_beside(Path(checkpoint))
    runs_in = dict(device=device, engine=engine, precision=precision)
    before = Detector(*found, **runs_in) if found else None
    viewer = Viewer(partial(Detector, cfg, checkpoint, **runs_in), before)
    if before and before.classes != viewer.detector.classes:
        raise UserError(
            f"`base` has the classes {list(before.classes)}, the detector {list(viewer.detector.classes)}; "
            "give the base detector of the same task"
        )
    bit_depth = cfg.get("bit_depth")
    readers = [partial(read_picture, path, bit_depth) for path in _examples(cfg, examples)]
    title = f"{cfg.get('source_domain', '')} → {cfg.get('target_domain', '')}".strip(" →")
    if viewer.detector.engine != "torch" or precision != "float32":
        title += f", {viewer.detector.engine} in {precision}"
    return Page(viewer, readers, title, bit_depth)


def serve(page: Page, port: int, say: Callable[..., None] = print) -> None:
    """Serves the page on this machine until it is interrupted.

    Args:
        page: from :func:`make_page`.
        port: 0 picks a free one.
        say: where the address is told.

    Raises:
        UserError: the port is taken.
    """
    own = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        own.bind((HOST, port))
        own.listen()  # whoever opens the address as soon as it is told waits until the server is there
    except OSError as error:
        raise UserError(f"`port={port}`: {error.strerror}; choose another, or 0 for a free one") from None
    say(f"the page is at http://{HOST}:{own.getsockname()[1]} (Ctrl-C ends it)", flush=True)
    config = uvicorn.Config(make_app(page), log_level="warning", access_log=False, server_header=False, lifespan="off")
    uvicorn.Server(config).run(sockets=[own])


def _base_beside(checkpoint: Path) -> tuple[Path, Path] | None:
    """The base detector of the pipeline that a checkpoint is of."""
    work_dir = checkpoint.parent.parent
    found = work_dir / "configs" / "base.py", work_dir / "base" / "latest.pth"
    return found if all(path.is_file() for path in found) and checkpoint.parent.name != "base" else None


def _examples(cfg: Config, given: Sequence[str | Path]) -> list[Path]:
    """The files of the examples, evenly spaced."""
    if given:
        pairs = [pair for one in given for pair in find_images(one)]
    else:
        pairs = _test_images(cfg)
    paths = [Path(*pair) for pair in pairs]
    step = max(1, len(paths) // NUM_EXAMPLES)
    return paths[::step][:NUM_EXAMPLES]


def _test_images(cfg: Any) -> list[tuple[str, str]]:
    """Those of the config's first test set; none where it is not there."""
    test = cfg.data.get("test") or {}
    first = (test.get("datasets") or [test])[0]
    root = Path(first.get("data_root") or "")
    try:
        return find_images(root / first["ann_file"], root / (first.get("img_prefix") or ""))
    except (UserError, KeyError):
        return []
