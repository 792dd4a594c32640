"""Measurements against the performance budget: ``python -m tests.bench [name ...]``.

A bench is a module ``bench_NAME.py`` with ``run() -> list[dict]``; each row has

- ``name``: what was measured;
- ``value`` and ``unit``: the figure, a ratio measured side by side wherever there is a rival;
- ``budget``: the most it should be, or None;
- ``note``: how it was measured, in a few words.
"""
