"""Many models of one training: the choices that a problem offers after it, and the points that they make.

A problem with a torch network takes it up in a few lines:

    self.compress = Compression.of({"precision": ["float32", "int8"], "pruned_channels": [0.0, 0.5]})
    self.post_training, self.metrics = self.compress.variables, {...} | self.compress.metrics
    self.architecture = [..., *self.compress.architecture]             # in __init__

    latency = self.compress.untrained(network, batch, config).latency(batch)              # in profile
    return self.compress.points(network, metrics, Parts(*data), seed=seed, **settings)    # at the end of evaluate
"""

import copy
import functools
import importlib.util
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from evo_moo.errors import ProblemError, to_install
from evo_moo.problem.metrics import Metric
from evo_moo.problem.points import Point
from evo_moo.space.variables import Choice, Variable
from evo_moo.toolkit.compression.choices import PRECISIONS
from evo_moo.toolkit.robustness import Robustness

if TYPE_CHECKING:
    from torch import Tensor, nn

    from evo_moo.toolkit.compression.served_model import ServedModel

    Part = tuple[Tensor, Tensor]

_CALIBRATION_SAMPLES = 256
_OF_THE_TRAINING = {"epochs", "until", "weights", "report", "patience"}
_PACKAGES = ("torch", "onnx", "onnxruntime", "torch_pruning")


class Parts(NamedTuple):
    """What a compressed network is tuned with and judged by: inputs ``(n, ...)`` and labels ``(n,)`` of each part."""

    train: "Part"
    validation: "Part"
    test: "Part"


@dataclass(frozen=True)
class Compression:
    """What is offered of each trained network: every combination of these, of which one value each is no choice.

    Attributes:
        precision: Some of ``PRECISIONS``; ``served_model`` says what they are.
        pruned_channels: Shares of the channels of each layer that go, which makes a network smaller and faster.
        sparsity: Shares of the weights that are zero, which shrinks a compressed file only.
        fine_tune_epochs: Number of epochs that a pruned network is trained on, by the learning rates of a training of
            so many epochs: they win back more than small ones do (Renda, Frankle and Carbin, "Comparing Rewinding and
            Fine-tuning in Neural Network Pruning", ICLR 2020, section 5).
    """

    precision: Sequence[str] = ("float32",)
    pruned_channels: Sequence[float] = (0.0,)
    sparsity: Sequence[float] = (0.0,)
    fine_tune_epochs: int = 0

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Read a table of options, such as ``{"precision": ["float32", "int8"], "sparsity": [0.0, 0.5]}``.

        Raises:
            ProblemError: It is wrong, or a package is not installed; all faults are listed.
        """
        known = [field.name for field in fields(cls)]
        faults = [f"`compress` has no {name!r}; it has: {', '.join(known)}" for name in options if name not in known]
        given = {name: value for name, value in options.items() if name in known}
        faults += [fault for name, value in given.items() if (fault := _fault(name, value))]
        compression = cls(**given)
        if not faults and not compression.variables:
            faults.append(
                f"`compress` must list two values or more of one of {', '.join(known[:3])}, but offers one model; "
                'list some more, such as precision = ["float32", "int8"], or leave it out'
            )
        if missing := [name for name in _PACKAGES if importlib.util.find_spec(name) is None]:
            faults.append(f"`compress` needs {', '.join(missing)}, not installed here: {to_install('compression')}")
        if faults:
            raise ProblemError("\n".join(faults))
        return compression

    @property
    def variables(self) -> dict[str, Variable]:
        """The post-training variables."""
        return {name: Choice(list(values), ordered=name != "precision") for name, values in self._listed.items()}

    @property
    def architecture(self) -> list[str]:
        """Those variables that decide what needs no training, such as the latency."""
        return [name for name in self.variables if name != "sparsity"]

    @property
    def metrics(self) -> dict[str, Metric]:
        """What ``points`` gives besides the metrics of any classifier."""
        return {
            "calibration_error": Metric(description="expected gap of confidence and accuracy", noisy=True),
            "size_on_disk_mb": Metric("MB", "file that ONNX Runtime loads", log=True),
            "size_compressed_mb": Metric("MB", "the same file as a compressed download", log=True),
        }

    def share_pruned(self, config: Mapping[str, Any]) -> float:
        """Return the share of channels that a point, or a configuration before its choices, lacks."""
        return float(self._value("pruned_channels", config))

    def pruned(self, network: "nn.Module", batch: "Tensor", config: Mapping[str, Any]) -> "nn.Module":
        """Return a copy of a network without the channels that a point lacks, by inputs ``(n, ...)``."""
        from evo_moo.toolkit.compression.pruning import without_channels

        return without_channels(network, batch, self.share_pruned(config))

    def untrained(self, network: "nn.Module", batch: "Tensor", config: Mapping[str, Any]) -> "ServedModel":
        """Serve a network whose weights do not matter, for what needs no training, by a batch ``(n, ...)``."""
        from evo_moo.toolkit.compression.served_model import served_model

        return served_model(self.pruned(network, batch, config), self._value("precision", config), batch)

    def points(
        self,
        network: "nn.Module",
        trained: Mapping[str, float],
        parts: Parts,
        *,
        seed: int,
        robustness: Robustness | None = None,
        **settings: Any,
    ) -> list[Point]:
        """Make every model that is offered of a trained network, and judge each as ONNX Runtime serves it.

        Args:
            network: The network; it stays as it is.
            trained: Metrics of the training; ``train_s`` is taken over, with the time of the fine-tuning.
            parts: What it is tuned with, calibrated with and judged by.
            seed: Decides the order of the samples in fine-tuning, and every draw of the perturbations.
            robustness: Perturbations under which accuracy is measured too, on the validation samples.
            settings: Those of ``train_classifier``, for fine-tuning; the number of epochs is adapted.

        Returns:
            One point for each combination, the one that could not be made with its reason.
        """
        from evo_moo.threads import one_thread

        tune = functools.partial(self._tuned, network, parts, seed, settings)
        judge = functools.partial(_judged, parts=parts, seed=seed, robustness=robustness)
        shapes = itertools.product(self.pruned_channels, self.sparsity)
        with one_thread():
            return [point for shape in shapes for point in self._of_shape(*shape, trained["train_s"], tune, judge)]

    def model(
        self, network: "nn.Module", parts: Parts, config: Mapping[str, Any], *, seed: int, **settings: Any
    ) -> tuple["nn.Module", bytes | None]:
        """Make the model of one choice; arguments as for ``points``.

        Returns:
            The network, pruned and tuned, and its file of ONNX where its precision is not that of the network.
        """
        from evo_moo.threads import one_thread
        from evo_moo.toolkit.compression.served_model import served_model

        shape = self._value("pruned_channels", config), self._value("sparsity", config)
        precision = self._value("precision", config)
        with one_thread():
            smaller, _ = self._tuned(network, parts, seed, settings, *shape)
            if precision == "float32":
                return smaller, None
            return smaller, served_model(smaller, precision, parts.train[0][:_CALIBRATION_SAMPLES]).file

    @property
    def _listed(self) -> dict[str, Sequence[Any]]:
        listed = {name: getattr(self, name) for name in ("precision", "pruned_channels", "sparsity")}
        return {name: values for name, values in listed.items() if len(values) > 1}

    def _of_shape(
        self,
        pruned_channels: float,
        sparsity: float,
        train_s: float,
        tune: Callable[[float, float], tuple["nn.Module", float]],
        judge: Callable[["nn.Module", str], dict[str, float]],
    ) -> Iterator[Point]:
        """Make the points of one pruned network, or say of each why there is none."""
        values = {"pruned_channels": pruned_channels, "sparsity": sparsity}
        network, fault = None, ""
        # A step is the work of libraries, which raise errors of every kind.
        try:
            network, tuning_s = tune(pruned_channels, sparsity)
        except Exception as error:
            fault = _reason(error)
        for precision in self.precision:
            choices = {name: v for name, v in {"precision": precision, **values}.items() if name in self._listed}
            if network is None:
                yield Point(choices, fault=fault)
                continue
            try:
                yield Point(choices, {"train_s": train_s + tuning_s} | judge(network, precision))
            except Exception as error:
                yield Point(choices, fault=_reason(error))

    def _value(self, name: str, config: Mapping[str, Any]) -> Any:
        return config.get(name, getattr(self, name)[0])

    def _tuned(
        self,
        network: "nn.Module",
        parts: Parts,
        seed: int,
        settings: Mapping[str, Any],
        pruned_channels: float,
        sparsity: float,
    ) -> tuple["nn.Module", float]:
        """Prune a network and train it on; return it with the seconds of that training."""
        from evo_moo.toolkit.compression.pruning import keep_zeros, without_channels, zero_weights
        from evo_moo.toolkit.training import set_determinism, train_classifier

        smaller, tuning_s = without_channels(network, parts.train[0], pruned_channels), 0.0
        zero_weights(smaller, sparsity)
        if self.fine_tune_epochs and (pruned_channels or sparsity):
            set_determinism(seed)
            # Each network is tuned as if it were the only one: what draws at random begins anew.
            plan = {name: value for name, value in settings.items() if name not in _OF_THE_TRAINING}
            plan["augment"] = copy.deepcopy(settings.get("augment"))
            plan["epochs"] = self.fine_tune_epochs
            last = train_classifier(smaller, parts.train, parts.validation, seed=seed, **plan).last
            tuning_s = last.train_s
        keep_zeros(smaller)
        if not all(tensor.isfinite().all() for tensor in smaller.state_dict().values()):
            raise ValueError("the weights must be finite, but are not: the training diverged")
        return smaller, tuning_s


def _judged(
    network: "nn.Module", precision: str, parts: Parts, seed: int, robustness: Robustness | None
) -> dict[str, float]:
    from evo_moo.toolkit.compression.served_model import served_model
    from evo_moo.toolkit.network_metrics import calibration_error
    from evo_moo.toolkit.training import judged_logits

    served = served_model(network, precision, parts.train[0][:_CALIBRATION_SAMPLES])
    labels, test_labels = parts.validation[1].cpu(), parts.test[1].cpu()
    logits = served.predict(parts.validation[0])
    if not logits.isfinite().all():
        raise ValueError("the outputs must be finite, but are not: the precision is too low")
    accuracy, loss = judged_logits(logits, labels)
    robust = robustness(network, *parts.validation, seed=seed, served=served.predict) if robustness else {}
    return robust | {
        "accuracy": accuracy,
        "loss": loss,
        "test_accuracy": judged_logits(served.predict(parts.test[0]), test_labels)[0],
        "calibration_error": calibration_error(logits, labels),
        "size_on_disk_mb": served.size_on_disk_mb,
        "size_compressed_mb": served.size_compressed_mb,
    }


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    return text if type(error) in (ValueError, ImportError) else f"{type(error).__name__}: {text}"


def _fault(name: str, value: Any) -> str:
    """Say what is wrong with a value of the option ``compress``; empty where nothing is."""
    if name == "fine_tune_epochs":
        is_right = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        rule = "must be a whole number, at least 0"
    else:
        is_list = isinstance(value, list | tuple) and value != [] and len({str(each) for each in value}) == len(value)
        if name == "precision":
            is_right = is_list and set(value) <= set(PRECISIONS)
            rule = f"must be a list of some of {', '.join(PRECISIONS)}, each once"
        else:
            is_right = is_list and all(type(each) in (int, float) and 0 <= each < 1 for each in value)
            rule = "must be a list of shares from 0 to below 1, each once"
    return "" if is_right else f"`compress.{name}` {rule}, but is {value!r}"
