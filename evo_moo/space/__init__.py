"""What is searched: variables, conditions, encoding, operators, designs."""

from evo_moo.space.kinds.ordering import Ordering as Ordering
from evo_moo.space.kinds.simplex import Simplex as Simplex
from evo_moo.space.kinds.subset import Subset as Subset
from evo_moo.space.search_space import Configuration as Configuration
from evo_moo.space.search_space import SearchSpace as SearchSpace
from evo_moo.space.variables import Boolean as Boolean
from evo_moo.space.variables import Choice as Choice
from evo_moo.space.variables import Integer as Integer
from evo_moo.space.variables import Real as Real
from evo_moo.space.variables import Variable as Variable
