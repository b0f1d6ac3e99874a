"""The three configs of one adaptation, settled and written down, and the steps that run them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmcv import Config

from ms2a.artefacts import memory_file, memory_names
from ms2a.config import load_config, open_config, option_effect, settle
from ms2a.config_effect import NONE
from ms2a.config_references import literal
from ms2a.errors import UserError, warn
from ms2a.pipeline.runner import ListedPictures, Step
from ms2a.settled import write_config

STAGES = BASE, SOURCE_TRAINING, TARGET_TRAINING = "base", "source_training", "target_training"
CHECKPOINT = "latest.pth"
MEMORY = "memory"
# Of a config; an option for it would have no effect.
PIPELINE_SETS = ("memory_dir", "memory_files")


@dataclass(frozen=True)
class Adaptation:
    """One adaptation from a source to a target domain, everything in ``work_dir``.

    Attributes:
        configs: the settled config of each stage, by its name.
        work_dir: where all results go.
        seed: of training, sampling and clustering.
        device: ``"cpu"``, ``"cuda"``, … or None for a GPU if there is one.
    """

    configs: Mapping[str, Config]
    work_dir: Path
    seed: int
    device: str | None

    @property
    def source(self) -> str:
        """The source domain's name."""
        return self.configs[TARGET_TRAINING].source_domain

    @property
    def target(self) -> str:
        """The target domain's name."""
        return self.configs[TARGET_TRAINING].target_domain

    def config_path(self, name: str) -> Path:
        """Where the settled config of a stage, or of the source-only test, is written."""
        return self.work_dir / "configs" / f"{name}.py"

    def checkpoint(self, stage: str) -> Path:
        """The last checkpoint of a stage: chosen without any target test label."""
        return self.work_dir / stage / CHECKPOINT

    @property
    def memory(self) -> Path:
        """The folder of samples and memory files."""
        return self.work_dir / MEMORY

    def results(self, name: str) -> Path:
        """The folder of one test's detections and metrics."""
        return self.work_dir / "results" / name


def load_adaptation(
    config: str | Path,
    work_dir: Path,
    seed: int = 0,
    device: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    stage_settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> Adaptation:
    """Reads the chain of configs that ends in a target-training config, and points each at the one before.

    Each stage starts from the last checkpoint of the one before, source training from the memory files too.

    Args:
        config: a target-training leaf; its ``previous`` names the source-training leaf beside it, whose ``previous``
            names the base.
        work_dir: where the results will go.
        seed: see :class:`Adaptation`.
        device: see :class:`Adaptation`.
        cfg_options: options; each goes to the stages that it changes, which is told where those are not all.
            ``load_from`` is where the base stage starts.
        settings: options of all three that come before those, whether a stage reads them or not.
        stage_settings: further ones of the stages named there.

    Raises:
        UserError: a config of the chain is missing or names no previous one, an option changes no stage, or the
            pipeline itself sets it.
    """
    refuse_options(cfg_options, PIPELINE_SETS, "the pipeline sets that; use `work_dir`")
    memory, configs = {"memory_dir": literal(str(work_dir / MEMORY))}, {}
    own = {stage: {**(settings or {}), **(stage_settings or {}).get(stage, {})} for stage in STAGES}
    chain = _chain(Path(config), memory, own)
    taken = _options_by_stage(cfg_options or {}, chain)
    for stage, opened in chain.items():
        cfg = open_config(opened.filename, taken[stage], memory, own[stage])
        if before := {TARGET_TRAINING: SOURCE_TRAINING, SOURCE_TRAINING: BASE}.get(stage):
            cfg.load_from = literal(str(work_dir / before / CHECKPOINT))
            if cfg.model.get("adapter"):
                # In target training the memory comes with the checkpoint.
                cfg.memory_files = {} if stage == SOURCE_TRAINING else None
                cfg.model.adapter.memory.files = "${memory_files}"
        configs[stage] = settle(cfg)
    return Adaptation(configs, work_dir, seed, device)


def _chain(path: Path, variables: Mapping[str, Any], settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Config]:
    """The config of each stage, from the last to the first; each names the one before as its ``previous``."""
    chain = {}
    for stage, before in ((TARGET_TRAINING, SOURCE_TRAINING), (SOURCE_TRAINING, BASE), (BASE, None)):
        chain[stage] = open_config(path, None, variables, settings[stage])
        if before and "previous" not in chain[stage]:
            raise UserError(
                f"config {path} names no 'previous' config, which {stage.replace('_', ' ')} starts from; "
                "run_pipeline takes the last config of a chain, e.g. one ending in _pretrain_mom_ft.py"
            )
        path = path.with_name(f"{chain[stage].get('previous')}.py")
    return chain


def _options_by_stage(cfg_options: Mapping[str, Any], configs: Mapping[str, Config]) -> dict[str, dict[str, Any]]:
    """The options of each stage: those that change it more than they do others.

    Raises:
        UserError: an option changes none.
    """
    taken: dict[str, dict[str, Any]] = {stage: {} for stage in configs}
    for option, value in cfg_options.items():
        effects = {stage: option_effect(option, cfg) for stage, cfg in configs.items()}
        most = max(effects.values())
        if most == NONE:
            open_config(configs[TARGET_TRAINING].filename, {option: value})  # which may know what was meant
            module = configs[TARGET_TRAINING].model.get("adapter")
            hint = "" if module else "; this form has no adaptation module, a task file with `recipe: released` has one"
            raise UserError(f"`cfg_options={option}`: no stage reads it{hint}")
        chosen = [stage for stage, own in effects.items() if own == most]
        for stage in chosen:
            taken[stage][option] = value
        if len(chosen) < len(configs):
            warn(f"the option {option} changes {' and '.join(reversed(chosen))} only: the other stages do not read it")
    return taken


def refuse_options(cfg_options: Mapping[str, Any] | None, names: Collection[str], why: str) -> None:
    """An option that would have no effect is a mistake.

    Raises:
        UserError: the top-level key of an option is among the names.
    """
    if refused := sorted({key.split(".")[0] for key in cfg_options or ()} & set(names)):
        raise UserError(f"`cfg_options={', '.join(refused)}`: {why}")


def write_configs(adaptation: Adaptation) -> None:
    """Writes the settled configs, and one that tests the base detector on both domains' test sets."""
    source_only = Config(adaptation.configs[BASE]._cfg_dict.to_dict())
    source_only.data.test = adaptation.configs[TARGET_TRAINING].data.test
    for name, config in {**adaptation.configs, "source_only": source_only}.items():
        write_config(config, adaptation.config_path(name))


def adaptation_in(work_dir: Path) -> Adaptation:
    """The adaptation whose configs :func:`write_configs` wrote to a folder.

    Raises:
        UserError: a config is missing or invalid.
    """
    paths = {stage: work_dir / "configs" / f"{stage}.py" for stage in STAGES}
    configs = {stage: load_config(path) for stage, path in paths.items()}
    return Adaptation(configs, work_dir, configs[TARGET_TRAINING].get("seed") or 0, None)


def steps_of(adaptation: Adaptation) -> list[Step]:
    """All steps, in order. The configs must have been written."""
    training = [train_step(adaptation, stage) for stage in STAGES]
    tests = [test_step(adaptation, "source_only", BASE), test_step(adaptation, TARGET_TRAINING, TARGET_TRAINING)]
    config, memory = adaptation.configs[SOURCE_TRAINING], []
    if config.model.get("adapter"):
        memory += [extract_step(adaptation, domain) for domain in (adaptation.source, adaptation.target)]
        memory.append(cluster_step(adaptation))
    if config.get("colour_prob"):
        memory.append(extract_step(adaptation, config.colour_domain, "colour"))
        memory.append(_cluster(adaptation, "cluster_colours", config.num_colours, [f"{config.colour_domain}_colour"]))
    return [*prepare_step(adaptation), training[0], *memory, *training[1:], *tests, _draw(adaptation)]


def _step(
    adaptation: Adaptation,
    name: str,
    command: Sequence[Any],
    outputs: Sequence[Path],
    inputs: Sequence[Path | ListedPictures] = (),
) -> Step:
    return Step(name, command_line(command, adaptation.device), outputs, inputs)


def command_line(command: Sequence[Any], device: str | None = None) -> list[str]:
    """What follows ``python`` to run a command of ``ms2a``."""
    words = ["-m", "ms2a.cli", *map(str, command)]
    return [*words, "--device", device] if device else words


def annotated_sets(dataset: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The sets with an annotation file inside a config's data set, wherever they stand in it."""
    if "ann_file" in dataset:
        return [dataset]
    parts = [dataset.get("dataset"), *dataset.get("datasets", ()), *dataset.get("domains", ())]
    return [found for part in parts if part for found in annotated_sets(part)]


def set_paths(dataset: Mapping[str, Any]) -> ListedPictures:
    """Annotation file and image folder of a set with an annotation file."""
    root = dataset.get("data_root") or ""
    return ListedPictures(Path(root, dataset["ann_file"]), Path(root, dataset.get("img_prefix") or ""))


def annotation_files(dataset: Mapping[str, Any]) -> list[Path]:
    """The annotation files of a config's data set, wherever they stand in it."""
    return [set_paths(part).ann_file for part in annotated_sets(dataset)]


def data_inputs(dataset: Mapping[str, Any]) -> list[Path | ListedPictures]:
    """The annotation files of a config's data set, and the pictures that each lists."""
    paths = [set_paths(part) for part in annotated_sets(dataset)]
    return [found for listed in paths for found in (listed.ann_file, listed)]


def prepare_step(adaptation: Adaptation) -> list[Step]:
    """The step that makes the data, where the config knows one."""
    command = adaptation.configs[TARGET_TRAINING].get("prepare_data")
    return [Step("prepare", command_line(command), always=True)] if command else []


def train_step(adaptation: Adaptation, stage: str) -> Step:
    """Trains a stage, from where it was stopped if it was."""
    folder = adaptation.work_dir / stage
    command = ["train", adaptation.config_path(stage), "--work-dir", folder]
    command += ["--seed", adaptation.seed, "--auto-resume", "--no-validate"]
    inputs = [adaptation.config_path(stage), *data_inputs(adaptation.configs[stage].data.train)]
    weights = adaptation.configs[stage].get("load_from")
    if stage == BASE and weights and "://" not in weights:  # the others start from earlier steps
        inputs.append(Path(weights))
    return _step(adaptation, stage, command, [folder], inputs)


def extract_step(adaptation: Adaptation, domain: str, prototype: str = "map") -> Step:
    """Samples what the base detector sees in a domain's images."""
    base = adaptation.configs[BASE]
    images = adaptation.configs[TARGET_TRAINING].memory_images[domain]
    folder = adaptation.memory
    command = ["extract", "--depart", domain, "--img", images["img"]]
    command += ["--img_root", images["img_root"]] if images.get("img_root") else []
    command += ["--config", adaptation.config_path(BASE), "--checkpoint", adaptation.checkpoint(BASE)]
    command += ["--out_path", folder, "--batch_size", 8, "--dim", base.model.neck.out_channels]
    command += ["--seed", adaptation.seed]
    inputs = [adaptation.config_path(BASE), Path(images["img"])]
    if Path(images["img"]).suffix.lower() == ".json":
        inputs.append(ListedPictures(Path(images["img"]), Path(images.get("img_root") or Path(images["img"]).parent)))
    if prototype != "map":
        command += ["--prototype", prototype]
    outputs = [folder / f"{name}.pth" for name in memory_names(domain, prototype)]
    name = f"extract_{domain}" if prototype == "map" else f"extract_{prototype}_{domain}"
    return _step(adaptation, name, command, outputs, inputs)


def cluster_step(adaptation: Adaptation) -> Step:
    """Clusters both domains' samples into memory files."""
    memory = adaptation.configs[SOURCE_TRAINING].model.adapter.memory
    return _cluster(adaptation, "cluster", memory.num_prototypes, [adaptation.source, adaptation.target])


def _cluster(adaptation: Adaptation, name: str, count: int, samples: Sequence[str]) -> Step:
    command = ["cluster", "--fea_root_path", adaptation.memory, "--n_clusters", count]
    command += ["--depart", *samples, "--seed", adaptation.seed]
    return _step(adaptation, name, command, [Path(memory_file(adaptation.memory, sample)) for sample in samples])


def test_step(adaptation: Adaptation, name: str, stage: str) -> Step:
    """Tests a stage's detector with the config of the given name; the results go to ``results/NAME``."""
    folder = adaptation.results(name)
    command = ["test", adaptation.config_path(name), adaptation.checkpoint(stage), "--eval", "bbox"]
    command += ["--out", folder / "detections.json", "--work-dir", folder]
    inputs = [adaptation.config_path(name), *data_inputs(adaptation.configs[TARGET_TRAINING].data.test)]
    return _step(adaptation, f"test_{name}", command, [folder], inputs)


def _draw(adaptation: Adaptation) -> Step:
    folder = adaptation.work_dir / "drawn"
    command = ["detect", adaptation.config_path(TARGET_TRAINING), adaptation.checkpoint(TARGET_TRAINING)]
    command += [folder, "--domain", adaptation.target]
    inputs = [adaptation.config_path(TARGET_TRAINING), *data_inputs(adaptation.configs[TARGET_TRAINING].data.test)]
    return _step(adaptation, "draw", command, [folder], inputs)
