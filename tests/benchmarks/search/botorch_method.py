"""BoTorch's noisy expected hypervolume improvement (Daulton et al. 2021; Ament et al. 2023), as its tutorials use it.

One Gaussian process per objective and constraint, with a categorical kernel where variables are choices. The
acquisition function is evaluated on all configurations where they are few, and else optimised by the optimiser
for continuous or for mixed spaces. The reference point is not told: it is the worst of each objective in the initial
design, and stays.
"""

import itertools
from functools import partial

import numpy as np
import torch
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.fit import fit_gpytorch_mll
from botorch.models import MixedSingleTaskGP, SingleTaskGP
from botorch.models.transforms import Normalize, Standardize
from botorch.optim import optimize_acqf, optimize_acqf_discrete, optimize_acqf_mixed_alternating
from botorch.sampling import SobolQMCNormalSampler
from gpytorch.mlls import ExactMarginalLogLikelihood

from tests.benchmarks.search.methods import Asking
from tests.benchmarks.search.problems import Problem

LISTED = 2_000
N_SAMPLES, N_RESTARTS, N_RAW = 128, 10, 512


def ask(problem: Problem, batch: int, seed: int) -> Asking:
    """Yield configurations; see ``methods``."""
    torch.manual_seed(seed)
    space = problem.space
    choices = _listed(problem)
    X = space.sample(problem.n_initial, np.random.default_rng(seed), "sobol")
    F, G = yield space.decode(X)
    worst = F.max(axis=0)
    while True:
        acquisition = _acquisition(problem, X, F, G, worst, seed)
        new = _optimised(problem, acquisition, X, choices, batch)
        if not len(new):
            return
        more_F, more_G = yield space.decode(new)
        X, F, G = np.concatenate([X, new]), np.concatenate([F, more_F]), np.concatenate([G, more_G])


def _listed(problem: Problem) -> np.ndarray | None:
    """Give all rows of a space that can be listed."""
    space = problem.space
    if not space.grid.all() or np.prod(space.high - space.low + 1) > LISTED:
        return None
    codes = itertools.product(*(range(int(a), int(b) + 1) for a, b in zip(space.low, space.high, strict=True)))
    return np.unique(space.canonical(np.array(list(codes), dtype=float)), axis=0)


def _acquisition(
    problem: Problem, X: np.ndarray, F: np.ndarray, G: np.ndarray, worst: np.ndarray, seed: int
) -> qLogNoisyExpectedHypervolumeImprovement:
    space = problem.space
    rows = torch.tensor(X)
    outcomes = torch.tensor(np.hstack([-F, G]))
    categories = np.flatnonzero(space.category).tolist()
    ordinal = np.flatnonzero(~space.category).tolist()
    bounds = torch.tensor(np.stack([space.xl, space.xu]))
    unit = Normalize(space.n_var, indices=ordinal, bounds=bounds[:, ordinal]) if ordinal else None
    transforms = {"outcome_transform": Standardize(outcomes.shape[1]), "input_transform": unit}
    if categories:
        model = MixedSingleTaskGP(rows, outcomes, categories, **transforms)
    else:
        model = SingleTaskGP(rows, outcomes, **transforms)
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    constraints = [partial(_outcome, column) for column in range(problem.n_obj, outcomes.shape[1])]
    return qLogNoisyExpectedHypervolumeImprovement(
        model,
        ref_point=torch.tensor(-worst),
        X_baseline=rows,
        sampler=SobolQMCNormalSampler(torch.Size([N_SAMPLES]), seed=seed),
        objective=IdentityMCMultiOutputObjective(outcomes=list(range(problem.n_obj))),
        constraints=constraints or None,
        prune_baseline=True,
    )


def _outcome(column: int, samples: torch.Tensor) -> torch.Tensor:
    return samples[..., column]


def _optimised(
    problem: Problem,
    acquisition: qLogNoisyExpectedHypervolumeImprovement,
    X: np.ndarray,
    choices: np.ndarray | None,
    batch: int,
) -> np.ndarray:
    space = problem.space
    bounds = torch.tensor(np.stack([space.xl, space.xu]))
    if choices is not None:
        asked = {row.tobytes() for row in X}
        left = choices[[row.tobytes() not in asked for row in choices]]
        if not len(left):
            return left
        with torch.no_grad():
            found, _ = optimize_acqf_discrete(acquisition, q=min(batch, len(left)), choices=torch.tensor(left))
        return np.asarray(found)
    settings = {"q": batch, "num_restarts": N_RESTARTS, "raw_samples": N_RAW, "sequential": True}
    if problem.is_continuous:
        found, _ = optimize_acqf(acquisition, bounds, options={"batch_limit": N_RESTARTS, "maxiter": 200}, **settings)
    else:
        values = {
            column: [float(code) for code in range(int(space.low[column]), int(space.high[column]) + 1)]
            for column in np.flatnonzero(space.grid).tolist()
        }
        categories = {column: codes for column, codes in values.items() if space.category[column]}
        ordered = {column: codes for column, codes in values.items() if not space.category[column]}
        found, _ = optimize_acqf_mixed_alternating(
            acquisition, bounds, discrete_dims=ordered, cat_dims=categories, **settings
        )
    return space.canonical(np.asarray(found))
