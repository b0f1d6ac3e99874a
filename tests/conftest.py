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


@pytest.fixture(autouse=True)
def no_network(tmp_path_factory, monkeypatch):
    """Downloads come from this machine alone, also in processes that a test starts, and earlier ones do not count.

    The default detector of a task is thus the small one, from random weights.
    """
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("torch")))
    monkeypatch.delenv("MS2A_WEIGHTS", raising=False)
