"""A run: an experiment, its images, its system and its folder.

run = Run.create("biva_digits", "runs/demo", seed=0)
run.train()
Run.open("runs/demo").evaluate(samples=1000)
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from zoo.analysis.anomaly import Report, chosen_layers, compare
from zoo.analysis.sampling import sample
from zoo.data import ImageData
from zoo.data.protocol import Protocol
from zoo.errors import UsageError
from zoo.experiments import Experiment, find
from zoo.experiments.pretrained import called
from zoo.experiments.records import Record
from zoo.experiments.registry import require_found
from zoo.infer.annealed import annealed_log_likelihood
from zoo.infer.importance import log_likelihood
from zoo.runs import finetuning, outputs
from zoo.runs.configuration import (
    configuration,
    configured,
    hardware,
    located,
    require_same,
    require_same_images,
)
from zoo.runs.images import require_images
from zoo.runs.monitor import side_by_side
from zoo.runs.preparation import initialise_on, monitor, prepared, record_changes
from zoo.runs.report import Evaluation, advancing, require_resolved
from zoo.runs.system import System
from zoo.runs.trained import exported, opened, record_of, trained_system
from zoo.training import parallel
from zoo.training.checkpoint import has_checkpoint, save_checkpoint
from zoo.training.fit import fit
from zoo.training.progress import Progress
from zoo.training.run_folder import RunFolder
from zoo.training.trainer import Fit
from zoo.training.weights import StoredType, Weights, require_weights_place, save_weights


class Run:
    """One training run and what can be done with it. Make it by `create`, `open` or `finetune`.

    Args:
        experiment: with all its options.
        path: of the folder.
        folder: the folder, where there is one already.
        weights: in place of a folder, of a system that was trained elsewhere.
        seed: of images' order, parameters and noise.
        device: where it runs.
        data_root: folder of data sets.
        download: whether to fetch the data set if it is not there.
        source: the run that this one finetunes, if it does.
    """

    def __init__(
        self,
        experiment: Experiment,
        path: str | Path,
        *,
        folder: RunFolder | None = None,
        weights: Weights | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
        data_root: str | Path | None = None,
        download: bool = False,
        source: RunFolder | None = None,
    ) -> None:
        self.experiment, self.path, self._folder = located(experiment), Path(path), folder
        self.weights = weights
        self.seed, self.device = seed, torch.device(device)
        self.data_root = None if data_root is None else Path(data_root).expanduser().absolute()
        self.download, self.source = download, source
        self.leads = True  # whether this is the one process that writes

    def __repr__(self) -> str:
        return f"Run({self.experiment.name!r}, {called(self.path)!r})"

    @classmethod
    def create(
        cls,
        experiment: str | Experiment,
        path: str | Path,
        *,
        changes: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> "Run":
        """A run that is to be trained into a new folder; nothing is written before `train`.

        Args:
            experiment: or its name.
            path: of the folder.
            changes: options, ``{"latent": 8, "steps": 100}``.
            settings: see `Run`.

        Raises:
            UsageError: for an unknown name or option, a value out of range, or an experiment under the name
                of another.
        """
        experiment = experiment if isinstance(experiment, Experiment) else find(experiment)
        require_found(experiment)
        return cls(experiment.override(changes or {}), path, **settings)

    @classmethod
    def open(cls, path: str | Path, *, changes: Mapping[str, Any] | None = None, **settings: Any) -> "Run":
        """A run that was begun; settings that are not given, or None, are those it has.

        Args:
            path: of the folder, or of a weights file (`export`); or a name, as `load` takes it.
            changes: options to change, where a resumed run may.
            settings: see `Run`.

        Raises:
            UsageError: if there is no run.
            CheckpointError: if its configuration or the file is damaged.
        """
        begun = opened(path)
        experiment, _ = configured(begun)
        given = {name: value for name, value in settings.items() if value is not None}
        kept: dict[str, Any] = {
            name: begun.config[name] for name in ("seed", "data_root") if name in begun.config
        }
        kept["weights" if isinstance(begun, Weights) else "folder"] = begun
        return cls(experiment.override(changes or {}), begun.path, **{**kept, **given})

    def finetune(self, path: str | Path, changes: Mapping[str, Any] | None = None, **settings: Any) -> "Run":
        """A run that resumes from the end of this one without free bits, in a folder of its own.

        Args:
            path: of the new folder.
            changes: options; epochs and steps count from the end of this run.
            settings: see `Run`; those of this run by default.

        Raises:
            UsageError: for an option that such a run cannot change.
        """
        experiment = finetuning.finetuned(self.experiment, changes or {})
        own = {name: getattr(self, name) for name in ("seed", "device", "data_root", "download")}
        return Run(experiment, path, source=self.folder, **{**own, **settings})

    @property
    def folder(self) -> RunFolder:
        """The folder.

        Raises:
            UsageError: if there is none yet, or only weights.
        """
        if self.weights is not None:
            raise self._no_folder()
        self._folder = self._folder or RunFolder.open(self.path)
        return self._folder

    def _no_folder(self) -> UsageError:
        return UsageError(
            f"expected a run folder; got {called(self.path)}, which holds weights without what training "
            f"needs: zoo train {self.experiment.name}"
        )

    @property
    def protocol(self) -> Protocol:
        """What images it is about, and how they are encoded."""
        protocol: Protocol = self.experiment.data()
        return protocol

    @cached_property
    def data(self) -> ImageData:
        """The images.

        Raises:
            DataError: if they are missing, unreadable, or not those that the run was trained on.
        """
        data = self.protocol.load(data_root=self.data_root, download=self.download)
        began = self._folder or self.weights or self.source
        if began is not None and configured(began)[0].data() == self.protocol:
            require_same_images(began, data, self.protocol.data)
        return data

    @cached_property
    def system(self) -> System:
        """The trained system: with averaged parameters where the run kept them, or those of its best epoch.

        Raises:
            CheckpointError: if there is no checkpoint or a damaged one.
        """
        return trained_system(self.weights or self.folder, self.device)

    @property
    def record(self) -> Record | None:
        """Its figures and how they were obtained; None before it has been evaluated."""
        return record_of(self.weights or self.folder)

    def export(self, path: str | Path, *, dtype: StoredType = "float32") -> Path:
        """Write a weights file: what `system` holds, the configuration and the record, if there is one.

        `load` and `open` take it in place of the folder. It names no path of this machine but that of images
        of one's own.

        Args:
            path: of a new file, which ends in ``.safetensors``.
            dtype: of the parameters in the file; they are float32 again when it is loaded.

        Raises:
            UsageError: if the file is there or cannot be written.
        """
        require_weights_place(path)
        about = exported(self.weights or self.folder)
        return save_weights(path, self.system.loss().state_dict(), about, dtype=dtype)

    def train(self) -> Fit:
        """Train, from the last checkpoint on if there is one.

        Raises:
            UsageError: if the images do not suit the system; nothing has been written then.
            Interrupted: after a signal, when the step is done and the checkpoint saved.
            NonFiniteError: if the loss or a gradient is not finite.
        """
        if self.weights is not None:
            raise self._no_folder()
        if self._folder is None:  # before data are read and a model is built
            parallel.on_rank_zero(lambda: RunFolder.require_place(self.path))
        config = self._configuration()
        changed = {} if self._folder is None else require_same(self._folder.config, config, self.path)
        with parallel.process_group(self.device):
            self.leads = parallel.rank() == 0
            system, batches = prepared(self.experiment, self.data, seed=self.seed, device=self.device)
            self._begin(system, config, changed)
            result = fit(
                system.model,
                system.guide,
                system.objective,
                batches,
                device=self.device,
                seed=self.seed,
                run=self.folder,
                resume=True,
                callbacks=[monitor(system, self.data, self.protocol)],
                options=self.experiment.training(),
            )
            parallel.copy_first(result.evaluated)
        system.model, system.guide = result.evaluated.model, result.evaluated.guide
        self.system = system
        return result

    def evaluate(
        self,
        samples: int = 1000,
        *,
        images: int | None = None,
        split: str = "test",
        seed: int = 0,
        chunk: int | None = None,
    ) -> Evaluation:
        """The log-likelihood of the first `images` images of a split (all by default), and the metrics.

        Where several processes are joined (`parallel.process_group`), all call this, each does its share, and
        all return the whole. So it is with `anneal`.

        Args:
            samples: importance samples an image, K.
            images: how many images.
            split: test or validation.
            seed: of the noise: two evaluations of one model agree.
            chunk: samples at a time, for memory and speed only.

        Raises:
            UsageError: if fewer than one image is asked for, or more than there are.
            NonFiniteError: if the log-likelihood is not finite, or absurd.
        """
        x, system = self._chosen(split, images), self.system
        with parallel.first_shows(len(x), unit="image") as bar:
            bar.update(0, {})  # the next line may take minutes
            likelihood = log_likelihood(
                system.model,
                system.guide,
                x,
                samples,
                seed=seed,
                chunk=chunk,
                progress=advancing(bar),
                distributed=True,
            )
        require_resolved(likelihood)
        labels = getattr(self.data, f"{split}_labels")
        labels = labels if labels is None else labels[:images]
        metrics = parallel.from_first(
            lambda: system.objective.metrics(system.loss(), x, labels, samples=10, seed=seed)
        )
        return Evaluation(likelihood, metrics, self.protocol.describe(self.data))

    def anneal(
        self,
        chains: int = 16,
        *,
        steps: int = 1000,
        leapfrog: int = 10,
        start: Literal["prior", "guide"] = "guide",
        images: int | None = None,
        split: str = "test",
        seed: int = 0,
    ) -> Evaluation:
        """The log-likelihood by annealed importance sampling; see `zoo.annealed_log_likelihood`.

        Args:
            chains: an image.
            steps: temperatures.
            leapfrog: gradients a step.
            start: where the chains start, prior or guide.
            images: how many images of the split, all by default.
            split: test or validation.
            seed: of the noise.

        Raises:
            UsageError: for a count out of range, or a model with discrete latents.
            NonFiniteError: if the log-likelihood is not finite, or absurd.
        """
        x, system = self._chosen(split, images), self.system
        guide = system.guide if start == "guide" else None
        with parallel.first_shows(len(x), unit="image") as bar:
            likelihood = annealed_log_likelihood(
                system.model,
                x,
                guide=guide,
                chains=chains,
                steps=steps,
                leapfrog=leapfrog,
                seed=seed,
                progress=advancing(bar),
                distributed=True,
            )
        require_resolved(likelihood)
        return Evaluation(likelihood, {}, self.protocol.describe(self.data))

    def sample(self, n: int = 64, *, temperature: float = 1.0, seed: int = 0) -> Tensor:
        """N images drawn from the model, pixels (n, C, H, W) for a picture; see `zoo.sample`."""
        torch.manual_seed(seed)
        with Progress(100, unit="%") as bar:
            x = sample(
                self.system.model,
                n,
                temperature=temperature,
                mean=True,
                progress=lambda share: bar.update(int(100 * share)),
            )
        return self.system.encoding.decode(x)

    def reconstruct(self, n: int | None = None, *, seed: int = 0) -> Tensor:
        """Test images and their reconstructions in turn, pixels (2n, C, H, W).

        Args:
            n: the first so many; by default 32, or all where there are fewer.
            seed: of the latents.

        Raises:
            UsageError: if fewer than one image is asked for, or more than there are.
        """
        require_images(self.data, "test", n)
        torch.manual_seed(seed)
        x = self._held_out("test")[: 32 if n is None else n]
        return side_by_side(self.system.model, self.system.guide, x, self.system.encoding.decode)

    def anomaly(
        self,
        against: str,
        *,
        above: Iterable[int] | None = None,
        samples: int = 10,
        images: int | None = None,
        seed: int = 0,
        chunk: int | None = None,
    ) -> Report:
        """How well scores of the layers distinguish another set's images from the run's own.

        Args:
            against: the anomalies: a data set or a path.
            above: layers k of L^{>k}; 0 to L-1 by default.
            samples: log weights an image and bound.
            images: test images of each set; all by default.
            seed: of the noise.
            chunk: samples at a time, for memory and speed only.

        Raises:
            UsageError: if there are no such layers, or fewer images than are asked for.
            DataError: if the other set is missing, unreadable or of another shape.
        """
        places: Any = {"data_root": self.data_root, "download": self.download}
        other = self.protocol.load_beside(self.data, against, **places)
        normal, anomalous = (self._chosen("test", images, data) for data in (self.data, other))
        model, guide = self.system.model, self.system.guide
        layers = chosen_layers(model, guide, normal, above)
        with Progress(len(layers) * (len(normal) + len(anomalous)), unit="image") as bar:
            return compare(
                model,
                guide,
                normal,
                anomalous,
                layers,
                names=(self.data.name, other.name),
                samples=samples,
                chunk=chunk,
                seed=seed,
                progress=advancing(bar),
            )

    @cached_property
    def pictures(self) -> dict[str, Tensor]:
        """Samples and reconstructions of test images, pixels (N, C, H, W) by name; seeded."""
        return outputs.final_pictures(self.system, self._held_out("test"))

    def save_pictures(self) -> list[Path]:
        """Samples, reconstructions and the chart of the latents' KL, as PNG in the run's folder."""
        return outputs.save_pictures(self.pictures, self.folder)

    def _chosen(self, split: str, images: int | None, data: ImageData | None = None) -> Tensor:
        """The first images of a split, all by default, as the model takes them.

        Raises:
            UsageError: if there are none, or fewer than are asked for.
        """
        require_images(self.data if data is None else data, split, images)
        return self._held_out(split, data)[:images]

    def _held_out(self, split: str, data: ImageData | None = None) -> Tensor:
        data = self.data if data is None else data
        return self.protocol.held_out(data, split, self.system.encoding).to(self.device)

    def _configuration(self) -> dict[str, Any]:
        settings = {
            "seed": self.seed,
            "data_root": self.data_root and str(self.data_root),
            "hardware": hardware(self.device),
        }
        if self.source is not None:
            settings["finetuned_from"] = str(self.source.path.absolute())
        return configuration(self.experiment, self.data, **settings)

    def _begin(self, system: System, config: dict[str, Any], changed: dict[str, Any]) -> None:
        """Write what comes before the first step: the folder, the start of a finetuning, changed options.

        All processes call it; rank 0 writes.
        """
        start = self._start(system)  # may refuse the source, so before the folder is made
        if self._folder is None:
            parallel.on_rank_zero(lambda: RunFolder.create(self.path, config))
        if start is not None:
            parallel.on_rank_zero(lambda: save_checkpoint(self.folder.last_checkpoint, start))
        if not has_checkpoint(self.folder.checkpoints):
            initialise_on(system, self.data, seed=self.seed, device=self.device)
        if changed:
            parallel.on_rank_zero(lambda: record_changes(self.folder, changed))
        outputs.name_charts(self.folder)

    def _start(self, system: System) -> dict[str, Any] | None:
        """The state to begin with: of the run that this one finetunes, before its first step."""
        begun = self._folder is not None and has_checkpoint(self._folder.checkpoints)
        if self.source is None or begun:
            return None
        return finetuning.start(self.source, system)
