"""From a front to a service: the folder of a trained model, its card, its proof."""

from typing import TYPE_CHECKING

from evo_moo.lazy import lazy_names

if TYPE_CHECKING:
    from evo_moo.deployment.build import build as build
    from evo_moo.deployment.model_folder import ModelFolder as ModelFolder
    from evo_moo.deployment.verify import verify as verify
else:
    __getattr__, __all__ = lazy_names(__name__, {"build": "build", "model_folder": "ModelFolder", "verify": "verify"})
