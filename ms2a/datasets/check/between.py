"""What only several sets together show: the same picture in two of them, and too few pictures for the memory."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ms2a.datasets.check.cache import PictureCache, default_folder
from ms2a.datasets.check.files import equal_files
from ms2a.datasets.check.result import CheckedSet
from ms2a.datasets.findings import Finding, Findings, Severity


def check_overlap(sets: Sequence[CheckedSet], severities: Mapping[tuple[str, str], Severity]) -> list[Finding]:
    """Finds pictures that two sets share, by content.

    Args:
        sets: in their order; only those with an image folder are looked at.
        severities: for pairs of names of sets, how bad it is that they share pictures; other pairs may share.

    Returns:
        One finding for each such pair that shares pictures.
    """
    owners: dict[Path, set[str]] = {}
    for checked in sets:
        for path in checked.paths() if checked.folder is not None else ():
            owners.setdefault(path.resolve(), set()).add(checked.name)
    with PictureCache(default_folder()) as cache:
        groups = equal_files(owners, cache)
    grouped = {path for group in groups for path in group}
    groups += [[path] for path, names in owners.items() if len(names) > 1 and path not in grouped]
    findings = Findings()
    for (one, other), severity in severities.items():
        for group in groups:
            ours = [path for path in group if one in owners[path]]
            theirs = [path for path in group if other in owners[path]]
            if ours and theirs:
                example = ours[0].name if ours[0].name == theirs[0].name else f"{ours[0].name} is {theirs[0].name}"
                remedy = "take them out of one of the two, or the test says too much"
                what = f"pictures of {one} that {other} has too"
                findings.add(severity, what, example, remedy, len(ours))
    return list(findings)


def overlap_severities(
    tests: Sequence[str], annotated: Sequence[str], unlabelled: Sequence[str]
) -> dict[tuple[str, str], Severity]:
    """Tested pictures in training are refused where they are annotated there, and told where they are not."""
    pairs = {(test, train): "error" for test in tests for train in annotated}
    return pairs | {(test, pictures): "warning" for test in tests for pictures in unlabelled}


def check_memory_pictures(
    pictures: CheckedSet, channels: int, num_prototypes: int, num_colours: int | None = None
) -> list[Finding]:
    """Tells before base training that Stage I would have too few pictures.

    Args:
        pictures: those that a memory is made of.
        channels: maps that the detector's neck gives of each picture.
        num_prototypes: clusters of maps; 0 where none are clustered.
        num_colours: clusters of colours, one sample a picture; None: no colours are clustered.
    """
    different = pictures.num_different
    findings, remedy = Findings(), f"add pictures to {pictures.name}"
    if different * channels < num_prototypes:
        what = f"different pictures in {pictures.name}: {different * channels} maps for {num_prototypes} prototypes"
        findings.add("error", what, "", f"{remedy}, or set num_prototypes", different or 1)
    if num_colours is not None and different < num_colours:
        what = f"different pictures in {pictures.name}, fewer than num_colours={num_colours}"
        findings.add("error", what, "", f"{remedy}, or set num_colours", different or 1)
    if different == 1 and (num_prototypes or num_colours is not None):
        findings.add("warning", f"different picture in {pictures.name}: a memory of one picture", "", remedy)
    return list(findings)
