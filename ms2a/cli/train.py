"""Trains the detector of a config, of any stage."""

import argparse
from collections.abc import Sequence

from ms2a.cli.command import add_cfg_options, add_device, add_launcher, run_command
from ms2a.errors import seed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("config", help="config of the stage")
    parser.add_argument("--work-dir", help="folder for checkpoints and logs (default: work_dirs/<config name>)")
    resume = parser.add_mutually_exclusive_group()
    resume.add_argument("--resume-from", help="checkpoint of an interrupted run to go on from")
    resume.add_argument("--auto-resume", action="store_true", help="go on from the newest checkpoint in the work dir")
    parser.add_argument("--no-validate", action="store_true", help="don't evaluate during training")
    parser.add_argument("--seed", type=seed, help="random seed (default: the config's, else 0)")
    parser.add_argument("--deterministic", action="store_true", help="let cuDNN choose repeatable algorithms")
    parser.add_argument("--strict", action="store_true", help="stop at an unreadable image instead of skipping it")
    add_device(parser)
    add_launcher(parser)
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Trains."""
    from ms2a.apis.train import train
    from ms2a.config import load_config
    from ms2a.engine.distributed import leave_process_group

    train(
        load_config(args.config, args.cfg_options),
        work_dir=args.work_dir,
        device=args.device,
        seed=args.seed,
        launcher=args.launcher,
        validate=not args.no_validate,
        resume_from=args.resume_from,
        auto_resume=args.auto_resume,
        deterministic=args.deterministic,
        strict=args.strict,
    )
    leave_process_group()


def main(argv: Sequence[str] | None = None) -> None:
    """The command on its own."""
    run_command(__name__, argv)
