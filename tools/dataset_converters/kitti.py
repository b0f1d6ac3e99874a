"""``ms2a convert kitti``, see ms2a/cli/kitti.py."""

from ms2a.cli.kitti import main
from ms2a.errors import run_main

if __name__ == "__main__":
    run_main(main)
