"""What all tests share.

This runs before any test module imports mmcv's operators, which MS2A provides where none are compiled.
"""

import pytest

import ms2a  # noqa: F401


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """What is remembered of pictures stays inside the test."""
    monkeypatch.setenv("MS2A_CACHE", str(tmp_path_factory.mktemp("cache")))
