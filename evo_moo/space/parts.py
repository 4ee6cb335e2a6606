"""Variables with several parts, such as subsets and shares, taken apart: one value for each part."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from evo_moo.space.kinds.known import compound_of


class Parts:
    """The variables of a run, with parts in place of those that have several: ``mix[web]`` is a share of ``mix``.

    Args:
        space: Name of each variable to its recorded definition.

    Attributes:
        definitions: Name of each variable to the definitions of its parts by their names, or to its own.
    """

    def __init__(self, space: Mapping[str, Mapping[str, Any]]) -> None:
        self._compounds = {name: kind for name, definition in space.items() if (kind := compound_of(definition))}
        self._parts = {
            name: {f"{name}[{part}]": of_part for part, of_part in kind.parts().items()}
            for name, kind in self._compounds.items()
        }
        self.definitions: dict[str, dict[str, Mapping[str, Any]]] = {
            name: {part: of_part.to_json() for part, of_part in self._parts[name].items()}
            if name in self._parts
            else {name: definition}
            for name, definition in space.items()
        }

    def flat(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """Return a configuration with the values of parts by their names."""
        values = dict(configuration)
        for name in self._compounds.keys() & values.keys():
            codes = self._compounds[name].codes(values.pop(name))
            for (part, kind), code in zip(self._parts[name].items(), codes, strict=True):
                values[part] = kind.values(np.array([code]))[0]
        return values
