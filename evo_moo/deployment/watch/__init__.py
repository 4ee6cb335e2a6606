"""The watch over a served model: what its log says against what its card promises.

Detectors of river, frouros and evidently have thresholds, not a number of false alarms per month that holds over many
tests and looks. So the tests here are of NumPy alone; ``tests/benchmarks/bench_watch.py`` has river's beside them.
"""
