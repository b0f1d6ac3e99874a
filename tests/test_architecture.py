"""The direction of imports between the rooms of the package."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ms2a"
# From the ground up; rooms of one floor may import each other.
FLOORS = [
    {
        *("version", "errors", "validation", "defaults", "artefacts", "operators", "mmcv_ext", "runtime", "lock"),
        *("config", "config_schema", "config_effect", "config_references", "settled", "progress"),
    },
    {"memory", "adaptation"},
    {"models", "datasets", "engine"},
    {"storage", "analysis"},
    {"apis"},
    {"pipeline", "web"},
    {"benchmark"},
    {"cli", "plugin"},
]
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room_of(module: str) -> str:
    return module.split(".")[1]


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            rooms |= {room_of(alias.name) for alias in node.names if alias.name.startswith("ms2a.")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ms2a."):
            rooms.add(room_of(node.module))
        elif isinstance(node, ast.ImportFrom) and node.module == "ms2a":
            rooms |= {alias.name for alias in node.names}
    return rooms


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_below_imports_anything_above(path):
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    upwards = {room for room in imported_rooms(path) if FLOOR_OF[room] > FLOOR_OF[own]}
    assert not upwards


def test_rooms_of_one_floor_form_no_circle():
    edges = {room: set() for room in FLOOR_OF}
    for path in FILES:
        own = path.relative_to(PACKAGE).with_suffix("").parts[0]
        edges[own] |= {room for room in imported_rooms(path) if FLOOR_OF[room] == FLOOR_OF[own] and room != own}
    while leaves := {room for room, below in edges.items() if not below & edges.keys()}:
        edges = {room: below for room, below in edges.items() if room not in leaves}
    assert not edges, f"rooms that import each other: {edges}"
