"""Names of domains, and which of them is read."""

import re
from collections.abc import Sequence

from ms2a.errors import UserError

LONGEST = 200
_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


def check_domain_name(name: str) -> str:
    """Returns ``name`` when it can name a domain: a word of command lines, part of file names and of checkpoint keys.

    Raises:
        UserError: the name is empty, holds anything but letters, digits, ``_`` and ``-``, begins with ``-``, or is too
            long for a file.
    """
    if not isinstance(name, str) or not _PATTERN.fullmatch(name) or len(name) > LONGEST:
        raise UserError(
            f"domain name {name!r} is not usable: use letters, digits, '_' and '-' only, no '-' at the start, and "
            f"{LONGEST} at most"
        )
    return name


def choose_domain(domain: str | None, known: Sequence[str], default: str | None = None) -> str | None:
    """The domain whose memory is read: the one that is asked for, else the default.

    Args:
        domain: its name, or None.
        known: the domains that the memory knows; none where a detector has no memory and takes any name.
        default: the domain of images that name none: the target at inference, None in training.

    Raises:
        UserError: the memory does not know the domain, or no domain is named.
    """
    chosen = domain or default
    if known and chosen is None:
        raise UserError(
            f"no domain is named (known: {', '.join(known)}) and there is no default; name one, set "
            "model.default_domain, or let images carry it: DomainCocoDataset(domain=…) and Collect(meta_keys=…)"
        )
    if known and chosen not in known:
        raise UserError(f"unknown domain {chosen!r}; the memory knows {', '.join(known)}")
    return chosen
