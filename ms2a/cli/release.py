"""Converts a checkpoint of the authors' release: IN OUT --domains SOURCE TARGET."""

import argparse
from collections.abc import Sequence

from ms2a.cli.command import run_command
from ms2a.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("input", help="checkpoint of the release, e.g. city_foggycity_epoch_20.pth")
    parser.add_argument("output", help="where to write the converted checkpoint")
    parser.add_argument("--domains", nargs="+", required=True, help="names of its domains, source first")
    parser.add_argument("--classes", nargs="+", help="class names to record; default: those the checkpoint records")


def run(args: argparse.Namespace) -> None:
    """Converts one checkpoint and prints what its config must say."""
    from ms2a.artefacts import load_torch, provenance, save_torch
    from ms2a.models.release import convert_release, describe

    checkpoint = load_torch(args.input, "checkpoint")
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise UserError(f"checkpoint {args.input} has no 'state_dict'; expected a checkpoint saved by mmcv")
    state_dict = convert_release(checkpoint["state_dict"], args.domains)
    classes = args.classes or checkpoint.get("meta", {}).get("CLASSES")
    meta = {"provenance": provenance(config=f"converted from {args.input}")}
    if classes:
        meta["CLASSES"] = [classes] if isinstance(classes, str) else list(classes)
    save_torch({"meta": meta, "state_dict": state_dict}, args.output)
    print(f"wrote {args.output}; its config needs\n{describe(state_dict)}")


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
