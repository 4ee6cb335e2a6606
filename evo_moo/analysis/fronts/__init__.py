"""The parts of a run's front: by the goals of each context, and how evaluations ended."""
