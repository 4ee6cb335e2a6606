"""The problem of golden run folders with points; to change anything here would make them another problem's."""

from evo_moo import Choice, Integer, Point
from tests.golden.problem import Golden


class GoldenPoints(Golden):
    """Offers up to four points of each training, one of which cannot be made where the depth is odd."""

    post_training = {
        "precision": Choice(["float32", "int8"]),
        "bits": Integer(2, 8, when={"precision": "int8"}),
    }

    def evaluate(self, config, *, seed):
        whole = super().evaluate(config, seed=seed)
        points = [Point({"precision": "float32"}, whole)]
        for bits in (2, 4, 8):
            smaller = {"loss": whole["loss"] + 1 / 4**bits, "speed": whole["speed"] + 1 / bits}
            points.append(Point({"precision": "int8", "bits": bits}, smaller))
        if config["depth"] % 2:
            points[2] = Point({"precision": "int8", "bits": 4}, fault="an odd depth has no 4 bits")
        return points
