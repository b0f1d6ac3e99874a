"""Every option of a command reaches the function that it is for."""

import inspect
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import pytest

from ms2a.apis.inference import Summary

OPTIONS = "--cfg-options model.x=3"
CASES = {
    "train": (
        "ms2a.apis.train:train",
        f"c.py --work-dir w --no-validate --seed 7 --deterministic --strict --device cpu --launcher slurm {OPTIONS}",
        dict(work_dir="w", validate=False, seed=7, deterministic=True, strict=True, device="cpu", launcher="slurm"),
    ),
    "train from a checkpoint": ("ms2a.apis.train:train", "c.py --resume-from r.pth", dict(resume_from="r.pth")),
    "train from the newest": ("ms2a.apis.train:train", "c.py --auto-resume", dict(auto_resume=True)),
    "test": (
        "ms2a.apis.test:test",
        "c.py w.pth --eval bbox --tta --device cpu --launcher pytorch --engine openvino --precision bfloat16 "
        f"{OPTIONS}",
        dict(checkpoint="w.pth", tta=True, device="cpu", launcher="pytorch", engine="openvino", precision="bfloat16"),
    ),
    "detect": (
        "ms2a.apis.inference:infer",
        "c.py w.pth out --img a b --img_root r --domain d --score-thr 0.7 --strict --device cpu --engine opencv "
        f"--precision bfloat16 {OPTIONS}",
        dict(checkpoint="w.pth", save_dir="out", img=["a", "b"], img_root="r", domain="d", score_thr=0.7)
        | dict(strict=True, device="cpu", engine="opencv", precision="bfloat16"),
    ),
    "export": (
        "ms2a.apis.export:export_onnx",
        f"c.py w.pth o.onnx --domain d --raw --all-domains --size 64,96 --batch 2 --runtime onnxruntime {OPTIONS}",
        dict(checkpoint="w.pth", out="o.onnx", domain="d", raw=True, all_domains=True, size=(64, 96), batch=2)
        | dict(runtime="onnxruntime"),
    ),
    "cluster": (
        "ms2a.storage.cluster:cluster_domains",
        "--fea_root_path f --out_path o --n_clusters 9 --depart a b --seed 7 --device cpu --launcher pytorch",
        dict(fea_root_path="f", out_path="o", n_clusters=9, domains=["a", "b"], seed=7, device="cpu")
        | dict(launcher="pytorch"),
    ),
    "extract": (
        "ms2a.storage.extract:extract",
        "--depart d --img i --img_root r --config c.py --checkpoint w.pth --out_path o --batch_size 3 --dim 5 "
        "--max-samples 11 --seed 7 --workers 4 --strict --prototype style --sample-by uniform --save-interval 6 "
        f"--device cpu --launcher pytorch {OPTIONS}",
        dict(checkpoint="w.pth", img="i", domain="d", out_path="o")
        | dict(options=dict(prototype="style", dim=5, batch_size=3, max_samples=11, sample_by="uniform", seed=7))
        | dict(img_root="r", strict=True, device="cpu", workers=4, launcher="pytorch", save_interval=6.0),
    ),
    "pipeline": (
        "ms2a.pipeline.run:run_pipeline",
        f"t.yaml --work-dir w --seed 7 --device cpu {OPTIONS}",
        dict(config_or_task="t.yaml", work_dir=Path("w"), seed=7, device="cpu", cfg_options={"model.x": 3}),
    ),
}
RETURNED = {"detect": Summary(1, 0, 1), "extract": [], "cluster": []}


@pytest.mark.parametrize("case", CASES)
def test_options_are_passed_on(monkeypatch, case):
    place, words, expected = CASES[case]
    module, name = place.split(":")
    signature = inspect.signature(getattr(import_module(module), name))
    calls = []

    def called(*args, **kwargs):
        calls.append(signature.bind(*args, **kwargs).arguments)
        return RETURNED.get(case)

    monkeypatch.setattr(f"{module}.{name}", called)
    monkeypatch.setattr("ms2a.config.load_config", lambda path, options=None: (path, options))
    import_module(f"ms2a.cli.{case.split()[0]}").main(words.split())
    (given,) = calls
    if "cfg" in signature.parameters:
        assert given.pop("cfg") == ("c.py", {"model.x": 3} if OPTIONS in words else None)
    if case == "extract":
        given = {**given, **asdict(given["options"])}
        expected = {**expected, **expected["options"]}
        del given["options"], expected["options"]
    defaults = {name: parameter.default for name, parameter in signature.parameters.items()}
    for name, value in given.items():
        assert value == (expected[name] if name in expected else defaults[name]), name
    assert set(expected) <= set(given)


@pytest.mark.parametrize("words", ["x", "x=[1,2", "x=(1,[2)", "a=1 b=2]),3"])
def test_words_that_are_no_options_are_one_line(words, capsys):
    with pytest.raises(SystemExit) as ended:
        import_module("ms2a.cli.train").main(["c.py", "--cfg-options", *words.split()])
    assert ended.value.code == 2
    assert f"--cfg-options {words}: expected KEY=VALUE words" in capsys.readouterr().err.splitlines()[-1]
