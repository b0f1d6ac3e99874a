"""The forms of MS2A that a task file may ask for by one word, ``recipe``."""

from collections.abc import Callable
from typing import Any

RELEASED, BEST = "released", "best"
RECIPES = (RELEASED, BEST)
MOST_COLOURS = 20
# Share of the training images that take on colours of the target's memory.
COLOUR_PROB = 0.8


def recipe_settings(recipe: str | None, num_pictures: int, say: Callable[..., None] = print) -> dict[str, Any]:
    """The config options of Stage II that a recipe means.

    Args:
        recipe: ``"released"``, the published form, whose adaptation module takes the place of the neck maps;
            ``"best"``, which starts exactly at the base detector and keeps the colours of the unlabelled pictures in
            its memory too; None: what the templates say.
        num_pictures: different unlabelled pictures of the target, of which there can be no more colours.
        say: where it is told that there are fewer colours than usual.
    """
    if recipe is None:
        return {}
    if recipe == RELEASED:
        return dict(zero_init=False, colour_prob=0.0)
    colours = max(1, min(MOST_COLOURS, num_pictures))
    if colours < MOST_COLOURS:
        say(f"recipe {recipe}: num_colours={colours} instead of {MOST_COLOURS}, by the number of unlabelled pictures")
    return dict(zero_init=True, colour_prob=COLOUR_PROB, num_colours=colours)
