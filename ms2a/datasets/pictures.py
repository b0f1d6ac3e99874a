"""The pictures of a folder: found by the names that annotation tools give them, measured without decoding."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from ms2a.datasets.check.headers import Header, read_header
from ms2a.datasets.findings import Findings
from ms2a.datasets.image_folder import find_images
from ms2a.datasets.readable import unreadable
from ms2a.errors import UserError


class Pictures:
    """The pictures below a folder.

    Args:
        folder: the folder.
        findings: is told of names that were not taken literally.

    Raises:
        UserError: the folder does not exist.
    """

    def __init__(self, folder: str | os.PathLike, findings: Findings) -> None:
        self.folder = Path(folder)
        self._findings = findings
        if not self.folder.is_dir():
            raise UserError(f"image folder {folder} does not exist; check the path")

    @cached_property
    def names(self) -> list[str]:
        """Every picture's path relative to the folder, with ``/``, sorted."""
        return [name for _, name in find_images(self.folder)]

    @cached_property
    def _by_last_part(self) -> dict[str, list[str]]:
        return _grouped(self._names_or_none, lambda name: PurePosixPath(name).name)

    @cached_property
    def _by_plain_last_part(self) -> dict[str, list[str]]:
        return _grouped(self._names_or_none, lambda name: _plain(PurePosixPath(name).name))

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        return _grouped(self._names_or_none, lambda name: PurePosixPath(name).stem)

    @property
    def _names_or_none(self) -> list[str]:
        try:
            return self.names
        except UserError:  # no picture at all
            return []

    def candidates(self, name: str) -> list[str]:
        """The pictures whose last part is that of ``name``; else those of which it is, but for case and accents.

        Drives, folders and addresses in front do not matter, nor whether an address is quoted (``%20``).
        """
        path = _path_of(name)
        lasts = list(dict.fromkeys([PurePosixPath(path).name, PurePosixPath(unquote(path)).name]))
        found = [picture for last in lasts for picture in self._by_last_part.get(last, [])]
        found = found or [picture for last in lasts for picture in self._by_plain_last_part.get(_plain(last), [])]
        if len(found) > 1:  # the one whose folders agree, if there is one
            found = [picture for picture in found if "/" in picture and f"/{path}".endswith(f"/{picture}")] or found
        return found

    def find(self, name: str) -> str | None:
        """The picture that an annotation file calls ``name``.

        A name that leads to a file below the folder is taken as it stands. Otherwise the only one of
        :meth:`candidates` is, which is said: whole paths of another machine, or of a server's upload folder.

        Returns:
            The path relative to the folder; None where no picture or more than one may be meant.
        """
        plain = name.strip().replace("\\", "/")
        inside = os.path.normpath(plain) if plain and not os.path.isabs(plain) else ".."
        if not inside.startswith("..") and os.path.isfile(self.folder / inside):
            return PurePosixPath(inside).as_posix()
        found = self.candidates(name)
        if len(found) != 1:
            return None
        if plain != found[0]:
            self._findings.note("picture names taken by their last part", f"{name} is {found[0]}")
        return found[0]

    def find_stem(self, stem: str) -> str | None:
        """The picture called ``stem`` plus an ending of images; with folders in ``stem`` those should agree.

        Returns:
            The path relative to the folder; None where no picture or more than one has the stem.
        """
        found = self._by_stem.get(PurePosixPath(stem).name, [])
        exact = [name for name in found if str(PurePosixPath(name).with_suffix("")) == PurePosixPath(stem).as_posix()]
        found = exact or found
        return found[0] if len(found) == 1 else None

    def require(self, name: str | None, stem: str, annotated_in: str | os.PathLike, same_folders: bool = False) -> str:
        """The picture of that name, else the one with that stem.

        Args:
            name: what an annotation file calls the picture, if it does.
            stem: name without ending.
            annotated_in: the annotation file.
            same_folders: where several pictures have the name, take the one in a folder called like the file's.

        Raises:
            UserError: neither is there, or several are.
        """
        several = self.candidates(name or stem) or self._by_stem.get(stem, [])
        if same_folders and len(several) > 1:
            folder = Path(annotated_in).absolute().parent.as_posix()
            parents = {str(PurePosixPath(path).parent): path for path in several}
            if agreeing := [parent for parent in parents if parent != "." and folder.endswith(f"/{parent}")]:
                return parents[max(agreeing, key=len)]
        found = self.find(name) if name else None
        found = found or self.find_stem(stem)
        if found is None:
            if len(several) > 1:
                raise UserError(
                    f"image {name or stem} of {annotated_in} may be {several[0]} or {several[1]}; rename one"
                )
            raise UserError(f"image {name or stem} of {annotated_in} is not in {self.folder}; set the image folder")
        return found

    def header(self, name: str) -> Header:
        """Size and rotation of a picture, whose path is relative to the folder.

        Raises:
            UserError: the file has no header of a picture.
        """
        header = read_header(self.folder / name)
        if header is None:
            raise unreadable(self.folder / name, "; it may be damaged")
        return header


def _path_of(name: str) -> str:
    """A name with ``/`` between folders and, of an address, the path only."""
    plain = name.strip().replace("\\", "/")
    try:
        address = urlsplit(plain)
    except ValueError:  # brackets that hold no address
        return plain
    return unquote(address.path) if address.scheme and address.netloc else plain


def _plain(name: str) -> str:
    """A name as systems compare names that tell neither case nor ways of writing an accent apart."""
    return unicodedata.normalize("NFC", name).casefold()


def _grouped(names: list[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups = defaultdict(list)
    for name in names:
        groups[key(name)].append(name)
    return groups
