"""Stands in for the C++ compiler, with which it compiles torch/types.h once and then every file it is called with.

All of mmcv's files include that header first, and it takes half of their time. GCC takes ``torch/types.h.gch`` from the
first folder of its search path; the flags are those of the first file, as a precompiled header needs them.
"""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

COMPILER, FOLDER = os.environ["MS2A_CXX"].split(), Path(os.environ["MS2A_HEADERS"])


def main(arguments: list[str]) -> None:
    """Calls the compiler with the arguments, one of which names the source after ``-c``."""
    if "-c" in arguments:
        with (FOLDER / "lock").open("w") as lock:
            # The first call compiles the header while the others wait.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (FOLDER / "tried").exists():
                (FOLDER / "tried").touch()
                subprocess.run([*COMPILER, *header_arguments(arguments)], check=False)
        arguments = [f"-I{FOLDER}", *arguments]
    os.execvp(COMPILER[0], [*COMPILER, *arguments])


def header_arguments(arguments: list[str]) -> list[str]:
    """The arguments of a source file turned into those of the header."""
    kept, skip = [], False
    for argument in arguments:
        if not skip and argument not in ("-c", "-o", "-MF", "-MMD", "-MD"):
            kept.append(argument)
        # -c, -o and -MF are followed by a file.
        skip = argument in ("-c", "-o", "-MF")
    return [*kept, "-x", "c++-header", str(FOLDER / "torch/types.h"), "-o", str(FOLDER / "torch/types.h.gch")]


if __name__ == "__main__":
    main(sys.argv[1:])
