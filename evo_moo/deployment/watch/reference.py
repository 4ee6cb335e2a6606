"""What data and answers looked like before a model was served: the data that it was tested with."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from evo_moo.deployment.measure import predicted, read_data
from evo_moo.deployment.model_folder import ModelFolder
from evo_moo.deployment.runners import predict_of, runtimes_here
from evo_moo.deployment.watch.columns import labelled_columns, request_columns
from evo_moo.deployment.watch.plan import Watched
from evo_moo.deployment.watch.requests import Request
from evo_moo.deployment.watch.streams import Events, Stream
from evo_moo.errors import UsageError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Reference:
    """Columns of the data that a model was tested with, as if they had been requests.

    Attributes:
        name: Name of the file.
        digest: SHA-256 of the file.
        n: Number of rows.
        columns: Names to columns, as those of a log.
    """

    name: str
    digest: str
    n: int
    columns: Mapping[str, Events]

    @classmethod
    def read(cls, folder: ModelFolder, path: Path) -> Self:
        """Read the data, and let the model answer them; no code of the folder or of the file is run.

        Raises:
            ModelFolderError: The data are not those of a model, or it cannot be run here.
            UsageError: They do not fit the model.
        """
        inputs, labels, groups = read_data(path)
        if labels.ndim != 1 or labels.dtype.kind not in "biuf":
            raise UsageError(f"`--reference` must have labels (n,) that are numbers, but they are {labels.dtype}")
        taken = folder.card.input
        if taken is not None and inputs.shape[1:] != taken.shape:
            wanted = ", ".join(map(str, taken.shape))
            raise UsageError(f"`--reference` must have inputs of shape (n, {wanted}), but they are {inputs.shape}")
        outputs: Array | None = None
        safe = [] if taken is None else [name for name in runtimes_here(folder) if name != "torch"]
        if safe:
            outputs = predicted(predict_of(folder, safe[0]), inputs).reshape(len(inputs), -1)
        names = np.full(len(inputs), "") if groups is None else groups.astype(str)
        requests = [
            Request(
                row=i,
                time=0.0,
                id="",
                latency_ms=None,
                failed=None,
                output=None if outputs is None else tuple(outputs[i].tolist()),
                prediction=None,
                label=float(labels[i]),
                group=str(names[i]),
                inputs=tuple(inputs[i].reshape(-1).astype(float).tolist()),
            )
            for i in range(len(inputs))
        ]
        columns = request_columns(requests, folder.card)
        columns |= labelled_columns(requests, folder.card) if outputs is not None else {}
        return cls(path.name, hashlib.sha256(path.read_bytes()).hexdigest(), len(inputs), columns)

    def teach(self, watched: Sequence[Watched], streams: Mapping[str, Stream]) -> None:
        """Let streams that watch for drift know what was before."""
        for each in watched:
            if each.source in self.columns:
                events = self.columns[each.source]
                streams[each.name].learn(events._replace(values=each.prepare(events.values)))
