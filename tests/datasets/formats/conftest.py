import pytest

from tests.tiny_annotations import Folder, boxes_of


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


@pytest.fixture
def boxes():
    return boxes_of


def found(findings, words) -> list[int]:
    """Counts of the findings that hold the words."""
    return [finding.count for finding in findings if words in finding.line()]


@pytest.fixture
def counts():
    return found
