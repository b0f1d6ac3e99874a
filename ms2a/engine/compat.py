"""Repairs of mmcv 1.7.2 and mmdet 2.28.2 on current torch releases, each with its reason; applied by ``import ms2a``."""


def apply() -> None:
    """Applies every repair; calling it again changes nothing."""
