"""The one way to torchvision, whose plain import fails where its build does not match torch's."""

import importlib
import sys
from types import ModuleType

from evo_moo.errors import to_install

# The schema that torchvision needs at its import, of both operators, as torchvision's own C++ sources declare it.
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def torchvision() -> ModuleType:
    """Import torchvision, also where a CUDA build of it stands beside a CPU build of torch.

    Such a pair fails at ``import torchvision`` because the compiled operators cannot be loaded. There the
    schemas that the import asks for are declared without an implementation: ``datasets``, ``models`` and
    ``transforms`` work, the operators of ``torchvision.ops`` do not.

    Returns:
        The module ``torchvision``.

    Raises:
        ImportError: torchvision is not installed.
    """
    try:
        return importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        raise ImportError(
            f"This needs torchvision, but there is no module {error.name!r}: {to_install('torch')}"
        ) from error
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
    import torch

    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    for name in ("torchvision::nms", "torchvision::qnms"):
        torch.library.define(name, _SCHEMA)
    return importlib.import_module("torchvision")
