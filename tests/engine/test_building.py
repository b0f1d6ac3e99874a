"""What a registry cannot build is told with its place in the config."""

import pytest
from mmcv import Config
from mmcv.runner import HOOKS
from mmcv.utils import build_from_cfg
from mmdet.datasets import PIPELINES
from mmdet.datasets.pipelines import Compose

import ms2a.plugin  # noqa: F401
from ms2a.engine.building import config_mistakes_told
from ms2a.errors import UserError

CONFIG = Config(
    dict(
        data=dict(train=dict(pipeline=[dict(type="LoadImageFromFile"), dict(type="RandomFlip", nothing=1)])),
        custom_hooks=[dict(type="ModeSwitchHook", num_last_epochs="x", wrong=2), dict(no_type=1)],
    )
)


def test_the_innermost_place_is_named():
    for build, message in (
        (
            lambda: Compose(CONFIG.data.train.pipeline),
            r"data\.train\.pipeline\.1 cannot be built: TypeError: .*nothing",
        ),
        (lambda: build_from_cfg(CONFIG.custom_hooks[0], HOOKS), r"custom_hooks\.0 cannot be built: TypeError: .*wrong"),
        (lambda: build_from_cfg(CONFIG.custom_hooks[1], HOOKS), r"custom_hooks\.1 cannot be built: KeyError: .*type"),
        (lambda: PIPELINES.build(dict(type="Nope")), r"type=.Nope. cannot be built: KeyError: Nope is not in the"),
    ):
        with pytest.raises(UserError, match=message) as error, config_mistakes_told(CONFIG):
            build()
        assert "\n" not in str(error.value)


def test_other_errors_are_no_mistakes_of_a_config():
    with pytest.raises(ZeroDivisionError), config_mistakes_told(CONFIG):
        raise ZeroDivisionError
    with pytest.raises(UserError, match="^mine$"), config_mistakes_told(CONFIG):
        raise UserError("mine")
