"""What is expected: model protocol, features, targets, choice of models, transfer, posterior, acquisition."""

from evo_moo.errors import SurrogateError as SurrogateError
from evo_moo.surrogate.protocol import Array as Array
from evo_moo.surrogate.protocol import ColumnKind as ColumnKind
from evo_moo.surrogate.protocol import Columns as Columns
from evo_moo.surrogate.protocol import Prediction as Prediction
from evo_moo.surrogate.protocol import Surrogate as Surrogate
from evo_moo.surrogate.protocol import canonical_order as canonical_order
from evo_moo.surrogate.protocol import checked_data as checked_data
from evo_moo.surrogate.protocol import checked_rows as checked_rows
