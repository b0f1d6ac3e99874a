"""Trains the detector of a config, of any stage."""

import argparse
from collections.abc import Sequence

from ms2a.apis.train import train
from ms2a.config import add_cfg_options, load_config
from ms2a.engine.distributed import LAUNCHERS, leave_process_group
from ms2a.errors import run_main, seed


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="config of the stage")
    parser.add_argument("--work-dir", help="folder for checkpoints and logs (default: work_dirs/<config name>)")
    resume = parser.add_mutually_exclusive_group()
    resume.add_argument("--resume-from", help="checkpoint of an interrupted run to go on from")
    resume.add_argument("--auto-resume", action="store_true", help="go on from the newest checkpoint in the work dir")
    parser.add_argument("--no-validate", action="store_true", help="don't evaluate during training")
    parser.add_argument("--seed", type=seed, help="random seed (default: the config's, else 0)")
    parser.add_argument("--deterministic", action="store_true", help="let cuDNN choose repeatable algorithms")
    parser.add_argument("--strict", action="store_true", help="stop at an unreadable image instead of skipping it")
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: a GPU if there is one)")
    parser.add_argument("--launcher", choices=LAUNCHERS, default="none", help="how several processes were started")
    add_cfg_options(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Trains."""
    args = parse_args(argv)
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


if __name__ == "__main__":
    run_main(main)
