"""A trained front to keep, and to be asked for a preference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch

from evo_moo.errors import StateError
from evo_moo.problem.weights import Weights
from evo_moo.toolkit.conditioned.networks import NETWORKS, ConditionedNetwork, UnderPreference
from evo_moo.toolkit.conditioned.preferences import as_preference

Array = npt.NDArray[np.float64]


class ModelAt(NamedTuple):
    """A conditioned network with the knob at one preference.

    Attributes:
        preference: ``(n_objectives,)`` weights that sum to 1.
        network: An ordinary network, which takes inputs only.
        ray: The nearest preference whose metrics were measured.
        metrics: Those metrics.
    """

    preference: Array
    network: UnderPreference
    ray: Array
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class ConditionedModel:
    """A conditioned network and what was measured along its rays.

    Attributes:
        network: The trained network.
        rays: ``(n_rays, n_objectives)`` preferences.
        metrics: What was measured under each.
    """

    network: ConditionedNetwork
    rays: Array
    metrics: Sequence[Mapping[str, float]]

    def at(self, preference: Any) -> ModelAt:
        """Return the model for a preference; it takes no training, and shares the weights of all others.

        Args:
            preference: One weight for each loss, in any unit; of two losses also the share of the first, from 0 to 1.
                Beyond the outermost rays the network was not judged.

        Raises:
            ValueError: It is no preference.
        """
        weights = as_preference(preference, self.network.n_objectives)
        nearest = int(np.linalg.norm(self.rays - weights, axis=1).argmin())
        network = UnderPreference(self.network, torch.as_tensor(weights, dtype=torch.float32)).eval()
        return ModelAt(weights, network, self.rays[nearest], self.metrics[nearest])

    def save(self, folder: Path | str) -> None:
        """Save the model as safetensors in a folder, which is made where it is missing."""
        kind = next(name for name, network in NETWORKS.items() if type(self.network) is network)
        Weights(own=folder).save(
            {
                "network": {"kind": kind, "settings": self.network.settings, "weights": self.network.state_dict()},
                "rays": self.rays.tolist(),
                "metrics": [dict(metrics) for metrics in self.metrics],
            }
        )

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Return the model that was saved in a folder; reading it runs no code.

        Raises:
            StateError: There is none, or it is damaged.
        """
        state = Weights(previous=folder).load()
        if state is None:
            raise StateError(f"`{folder}` must hold a saved model, but holds none")
        try:
            saved = state["network"]
            network = NETWORKS[saved["kind"]](**saved["settings"])
            network.load_state_dict(saved["weights"])
            return cls(network.eval(), np.array(state["rays"]), state["metrics"])
        except (LookupError, TypeError, ValueError, RuntimeError) as error:
            raise StateError(
                f"`{folder}` must hold a conditioned model, but holds something else: {error}; save it anew"
            ) from error
