"""What README and docs say is checked where it can be: links, commands, the table of configs, limits of length."""

import re
from pathlib import Path

import pytest

from ms2a.config import load_config

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
RECIPES = sorted((ROOT / "configs" / "yolox").glob("*.py"))


def names(paths):
    return [path.name for path in paths]


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_anchors_are_headings(page):
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            text = ((page.parent / target) if target else page).read_text(encoding="utf-8")
            headings = [re.sub(r"[^\w\- ]", "", line.lower()).strip() for line in re.findall(r"^#+ (.*)$", text, re.M)]
            assert anchor in [heading.replace(" ", "-") for heading in headings], f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_named_files_exist(page):
    """Scripts, configs and modules that are named in code spans and blocks."""
    folders = "tools|configs|ms2a|benchmarks|tests|requirements|findings"
    pattern = rf"(?<![\w/.-])((?:{folders})/[\w./-]+\.(?:py|sh|txt|yaml))"
    for name in set(re.findall(pattern, page.read_text(encoding="utf-8"))):
        assert (ROOT / name).exists(), name


def test_the_readme_is_short():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("path", RECIPES, ids=names(RECIPES))
def test_the_table_of_configs_says_what_the_config_holds(path):
    text = (ROOT / "docs" / "configs.md").read_text(encoding="utf-8")
    cfg = load_config(path)
    (height, width), (low, high) = cfg.img_scale, cfg.random_size_range
    row = (
        f"| `{path.stem}` | {height}×{width} | {low}–{high} | {cfg.runner.max_epochs} ({cfg.num_last_epochs}) "
        f"| {cfg.batch_size} | {cfg.lr:g} | {cfg.get('num_prototypes') or '–'} |"
    )
    assert row in text
