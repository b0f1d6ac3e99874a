"""What all tests share.

This runs before any test module imports mmcv's operators, which MS2A provides where none are compiled.
"""

import os

import pytest

import ms2a  # noqa: F401


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """What is remembered of pictures stays inside the test."""
    monkeypatch.setenv("MS2A_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(autouse=True)
def own_data_roots(monkeypatch):
    """Configs name the folders of their data themselves, wherever the tests are run."""
    for name in [name for name in os.environ if name.startswith("MS2A_DATA_ROOT")]:
        monkeypatch.delenv(name)
