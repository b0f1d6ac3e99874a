"""Names of domains."""

import re

from ms2a.errors import UserError

_PATTERN = re.compile(r"[A-Za-z0-9_-]+")


def check_domain_name(name: str) -> str:
    """Returns ``name`` when it can name a domain: it becomes part of file names and of checkpoint keys.

    Raises:
        UserError: the name is empty or holds anything but letters, digits, ``_`` and ``-``.
    """
    if not isinstance(name, str) or not _PATTERN.fullmatch(name):
        raise UserError(f"domain name {name!r} is not usable: use letters, digits, '_' and '-' only")
    return name
