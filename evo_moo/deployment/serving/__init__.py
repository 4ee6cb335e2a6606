"""Serving built models over HTTP, behind a switch that says which one answers under the present load."""

from typing import TYPE_CHECKING

from evo_moo.lazy import lazy_names

if TYPE_CHECKING:
    from evo_moo.deployment.serving.budgets import Budgets as Budgets
    from evo_moo.deployment.serving.members import Member as Member
    from evo_moo.deployment.serving.members import members_of_front as members_of_front
    from evo_moo.deployment.serving.models import members_of as members_of
    from evo_moo.deployment.serving.models import read_models as read_models
    from evo_moo.deployment.serving.simulation import poisson_arrivals as poisson_arrivals
    from evo_moo.deployment.serving.simulation import simulate as simulate
    from evo_moo.deployment.serving.switch import Switch as Switch
else:
    __getattr__, __all__ = lazy_names(
        __name__,
        {
            "budgets": "Budgets",
            "members": "Member members_of_front",
            "models": "members_of read_models",
            "simulation": "poisson_arrivals simulate",
            "switch": "Switch",
        },
    )
