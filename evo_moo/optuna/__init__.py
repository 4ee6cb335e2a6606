"""The candidates of this engine in studies of Optuna, which must be installed."""

from typing import TYPE_CHECKING

from evo_moo.lazy import lazy_names

if TYPE_CHECKING:
    from evo_moo.optuna.sampler import EvoMooSampler as EvoMooSampler

__getattr__, __all__ = lazy_names(__name__, {"sampler": "EvoMooSampler"})
