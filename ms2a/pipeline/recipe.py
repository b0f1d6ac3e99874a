"""The forms of MS2A that a task file may ask for by one word, ``recipe``."""

from collections.abc import Callable
from typing import Any

RELEASED, BEST = "released", "best"
RECIPES = (RELEASED, BEST)
MOST_COLOURS = 20
# Share of the training images that take on colours of the target's memory.
COLOUR_PROB = 0.8
# The evidence is in docs/results.md: from pretrained weights the colours do better without the module.
WITHOUT_MODULE = {
    "model.adapter": None,
    "model.foreground": None,
    "data.train.skip_type_keys": ["CrossDomainCopyPaste"],
    "data.train.before_mixing": [dict(type="PasteObjects", domain="${target_domain}", img_scale="${img_scale}")],
}


def recipe_settings(
    recipe: str | None, num_pictures: int, pretrained: bool, say: Callable[..., None] = print
) -> dict[str, Any]:
    """The config options of Stage II that a recipe means.

    Args:
        recipe: ``"released"``, the published form, whose adaptation module takes the place of the neck maps;
            ``"best"``, whose memory keeps the colours of the unlabelled pictures: from pretrained weights with objects
            of the annotated ones pasted into all, and no module, else beside the prototypes of a module that starts
            exactly at the base detector; None: from pretrained weights ``"best"``, else the published form.
        num_pictures: different unlabelled pictures of the target, of which there can be no more colours.
        pretrained: whether the base detector starts from weights.
        say: where it is told which form is taken unasked, and that there are fewer colours than usual.
    """
    if recipe is None and pretrained:
        recipe = BEST
        say("recipe best, as always from weights without another: no module; `recipe: released` is the published form")
    if recipe is None:
        return {}
    if recipe == RELEASED:
        return dict(zero_init=False, colour_prob=0.0)
    colours = max(1, min(MOST_COLOURS, num_pictures))
    if colours < MOST_COLOURS:
        say(f"recipe {recipe}: num_colours={colours} instead of {MOST_COLOURS}, by the number of unlabelled pictures")
    form = WITHOUT_MODULE if pretrained else dict(zero_init=True)
    return form | dict(colour_prob=COLOUR_PROB, num_colours=colours)
