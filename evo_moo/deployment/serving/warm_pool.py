"""Which models are loaded: the one of the moment, the fastest one, and as many neighbours as the memory takes."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from evo_moo.deployment.model_folder import ModelFolder
from evo_moo.deployment.runners import Predict
from evo_moo.deployment.serving.members import Member
from evo_moo.deployment.serving.models import Model
from evo_moo.errors import ModelFolderError


def warm(members: Sequence[Member], current: int, memory_mb: float) -> list[str]:
    """Return the names of the members that should be loaded.

    The fastest one always, for what is urgent, and the one of the moment; then its neighbours, the nearest first, as
    long as the memory suffices.

    Args:
        members: Sorted by latency.
        current: Position of the member of the moment.
        memory_mb: Memory for all of them.
    """
    nearest = sorted(range(len(members)), key=lambda i: (abs(i - current), -i))
    kept = {0, current}
    left = memory_mb - sum(members[i].memory_mb for i in kept)
    for i in nearest:
        if i not in kept and members[i].memory_mb <= left:
            kept.add(i)
            left -= members[i].memory_mb
    return [members[i].name for i in sorted(kept)]


class WarmPool:
    """The models that are loaded.

    Args:
        models: All models.
        members: Those that the switch has, sorted by latency.
        memory_mb: Memory for the models that are loaded.
    """

    def __init__(self, models: Sequence[Model], members: Sequence[Member], memory_mb: float) -> None:
        self._models = {model.name: model for model in models}
        self._members, self._memory_mb = members, memory_mb
        self._loaded: Mapping[str, Predict] = {}
        self._lost: set[str] = set()

    @property
    def loaded(self) -> Mapping[str, Predict]:
        """Names to models; what is dropped later stays usable here."""
        return MappingProxyType(dict(self._loaded))

    def is_behind(self, current: int) -> bool:
        """Whether other models should be loaded than are, for a member of the moment."""
        return set(self._wanted(current)) != self._loaded.keys()

    def follow(self, current: int) -> list[str]:
        """Drop and load models for a member of the moment.

        A folder that has changed since the start is not loaded.

        Returns:
            Why models could not be loaded; they are not tried again.
        """
        wanted, faults = self._wanted(current), []
        self._loaded = {name: predict for name, predict in self._loaded.items() if name in wanted}
        for name in wanted:
            if name not in self._loaded:
                try:
                    self._loaded = {**self._loaded, name: self._load(self._models[name])}
                except (ModelFolderError, OSError) as error:
                    self._lost.add(name)
                    faults.append(str(error))
        return faults

    def _wanted(self, current: int) -> list[str]:
        return [name for name in warm(self._members, current, self._memory_mb) if name not in self._lost]

    def _load(self, model: Model) -> Predict:
        if ModelFolder.read(model.folder.path) != model.folder:
            raise ModelFolderError(f"`{model.folder.path}` must stay as it was at the start, but has changed")
        return model.load()
