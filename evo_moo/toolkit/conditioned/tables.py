"""The tables of the published figures of COSMOS, encoded as there: Adult, COMPAS, Default of credit card clients."""

import importlib.util
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evo_moo.errors import ProblemError, to_install
from evo_moo.toolkit.data_files import find_data
from evo_moo.toolkit.tabular import compas_rows

if TYPE_CHECKING:
    import pandas as pd

    from evo_moo.toolkit.conditioned.losses import Samples

Array = npt.NDArray[Any]
FILES = {"adult": "adult.csv.gz", "compas": "compas.csv.gz", "compas_leak": "compas.csv.gz", "credit": "credit.csv.gz"}
"""Names of the tables to names of their files."""
SCALINGS = ("train", "all")
_MISSING = {"workclass": "Private", "occupation": "Prof-specialty", "native-country": "United-States"}
_SCHOOL = ("Preschool", "1st-4th", "5th-6th", "7th-8th", "9th", "10th", "11th", "12th")
_HIGHER = ("Assoc-voc", "Assoc-acdm", "Prof-school", "Some-college")
_MARRIED = ("Married-civ-spouse", "Married-AF-spouse")
_DEFAULT = "default.payment.next.month"
_OF_CREDIT = ["EDUCATION", "MARRIAGE", *(f"PAY_{month}" for month in (0, 2, 3, 4, 5, 6))]
_OF_COMPAS = ["c_charge_degree", "race", "age_cat", "score_text"]


class FairTable(NamedTuple):
    """A table with a label and two groups.

    Attributes:
        X: ``(n, n_features)`` numbers and columns of 0 and 1, not scaled; the sensitive attribute is none of them.
        y: Labels ``(n,)``, 0 or 1.
        group: 1 for women ``(n,)``, else 0.
        columns: Names of the features.
    """

    X: Array
    y: Array
    group: Array
    columns: tuple[str, ...]

    def parts(self, scaling: str = "train", stratified: bool = False) -> "dict[str, Samples]":
        """Return ``"train"``, ``"validation"`` and ``"test"`` data, 70 %, 10 % and 20 % of the rows.

        Args:
            scaling: Standardises by the training rows, or by ``"all"`` rows as the published figures do, which lets the
                test data leak a little.
            stratified: Splits half, a quarter and a quarter, alike in labels and groups: for small tables.
        """
        import torch
        from sklearn.model_selection import train_test_split

        from evo_moo.toolkit.conditioned.losses import Samples
        from evo_moo.toolkit.datasets import split_in_three

        if stratified:
            rows = split_in_three(2 * self.group + self.y, 0.5)
        else:
            others, test = train_test_split(np.arange(len(self.y)), test_size=0.2, random_state=1)
            train, validation = train_test_split(others, test_size=0.125, random_state=1)
            rows = {"train": train, "validation": validation, "test": test}
        known = self.X if scaling == "all" else self.X[rows["train"]]
        deviation = known.std(axis=0)
        X = (self.X - known.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
        tensors = torch.tensor(X, dtype=torch.float32), torch.tensor(self.y), torch.tensor(self.group)
        return {name: Samples(*(tensor[torch.from_numpy(i)] for tensor in tensors)) for name, i in rows.items()}


def read_table(name: str, path: str | None = None) -> FairTable:
    """Read one of ``FILES``, or the demonstration.

    Args:
        name: ``"adult"``, with 88 features; ``"compas"``, with 19; ``"compas_leak"``, with one more, ``is_recid``,
            which is nearly the label: to reproduce published figures only; ``"credit"``, with 90; or ``"demo"``,
            scikit-learn's 442 diabetes patients, whether their disease progressed more than the median.
        path: The file; by default that of the name in the folder EVO_MOO_DATA.

    Raises:
        ProblemError: There is no such file, it lacks a column, or pandas is not installed.
    """
    if name == "demo":
        return _demo()
    file = find_data(FILES[name], path)
    if file is None:
        raise ProblemError(
            f"`data` = {name!r} must have its file, but none is named; set `path`, or EVO_MOO_DATA to the folder of "
            f"{FILES[name]}"
        )
    if importlib.util.find_spec("pandas") is None:
        raise ProblemError(f"`data` = {name!r} must be read by pandas, but it is missing; {to_install('fairness')}")
    import pandas as pd

    read = {"adult": _adult, "compas": _compas, "compas_leak": _compas_with_leak, "credit": _credit}[name]
    try:
        features, y, women = read(pd.read_csv(file))
    except KeyError as error:
        raise ProblemError(f"{file} must be the table {name!r}, but lacks the column {error}") from error
    except (ValueError, OSError) as error:
        raise ProblemError(f"{file} must be a CSV file, but cannot be read: {error}") from error
    X = features.to_numpy(dtype=float)
    return FairTable(X, y.to_numpy(dtype=int), women.to_numpy(dtype=int), tuple(features.columns))


def _adult(rows: "pd.DataFrame") -> "tuple[pd.DataFrame, pd.Series, pd.Series]":
    import pandas as pd

    rows = rows.replace({name: {"?": value} for name, value in _MISSING.items()})
    education = {**dict.fromkeys(_SCHOOL, "school"), **dict.fromkeys(_HIGHER, "higher")}
    features = rows.assign(
        education=rows["education"].replace(education),
        **{"marital-status": rows["marital-status"].isin(_MARRIED).map({True: "married", False: "single"})},
    ).drop(columns=["income", "gender"])
    return pd.get_dummies(features), rows["income"].eq(">50K"), rows["gender"].eq("Female")


def _compas(rows: "pd.DataFrame") -> "tuple[pd.DataFrame, pd.Series, pd.Series]":
    features, y, women = _compas_with_leak(rows)
    return features.drop(columns="is_recid"), y, women


def _compas_with_leak(rows: "pd.DataFrame") -> "tuple[pd.DataFrame, pd.Series, pd.Series]":
    import pandas as pd

    rows = compas_rows(rows, "compas.csv.gz")
    stay = pd.to_datetime(rows["c_jail_out"]) - pd.to_datetime(rows["c_jail_in"])
    numbers = rows[["age", "priors_count", "days_b_screening_arrest", "decile_score", "is_recid"]]
    features = numbers.assign(jail_hours=stay.dt.total_seconds() // 3600).join(pd.get_dummies(rows[_OF_COMPAS]))
    return features, rows["two_year_recid"].eq(1), rows["sex"].eq("Female")


def _credit(rows: "pd.DataFrame") -> "tuple[pd.DataFrame, pd.Series, pd.Series]":
    import pandas as pd

    features = pd.get_dummies(rows.drop(columns=[_DEFAULT, "SEX"]), columns=_OF_CREDIT)
    return features, rows[_DEFAULT].eq(1), rows["SEX"].eq(2)


def _demo() -> FairTable:
    from sklearn.datasets import load_diabetes

    patients = load_diabetes(scaled=False)
    names = list(patients.feature_names)
    sex = names.index("sex")
    columns = tuple(name for name in names if name != "sex")
    labels, group = patients.target > np.median(patients.target), patients.data[:, sex] == 2
    return FairTable(np.delete(patients.data, sex, axis=1), labels.astype(int), group.astype(int), columns)
