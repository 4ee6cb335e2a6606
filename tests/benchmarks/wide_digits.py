"""Networks for handwritten digits whose latencies differ much, for the benchmark of serving."""

from evo_moo.problems.digits_cnn import THREE, TWO_OR_MORE, DigitsCNN

from evo_moo import Boolean, Choice, Integer, Real


class WideDigits(DigitsCNN):
    """``digits_cnn`` with wider networks, and trainings that mostly end well."""

    variables = {
        "n_blocks": Integer(1, 3),
        "width_1": Integer(4, 64, log=True),
        "width_2": Integer(4, 64, log=True, when=TWO_OR_MORE),
        "width_3": Integer(4, 64, log=True, when=THREE),
        "kernel_1": Choice([3, 5], ordered=True),
        "kernel_2": Choice([3, 5], ordered=True, when=TWO_OR_MORE),
        "kernel_3": Choice([3, 5], ordered=True, when=THREE),
        "dense": Boolean(),
        "dense_units": Integer(8, 128, log=True, when={"dense": True}),
        "activation": Choice(["relu"]),
        "dropout": Real(0.0, 0.2),
        "optimizer": Choice(["adam"]),
        "lr": Real(3e-3, 1e-2, log=True),
        "batch_size": Choice([64]),
        "weight_decay": Real(1e-6, 1e-4, log=True),
        "epochs": Integer(1, 4),
    }
    architecture = [name for name in variables if name.startswith(("n_", "width", "kernel", "dense", "activation"))]
