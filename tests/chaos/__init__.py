"""Chaos: a whole system under load, with everything that can die dying, and then its history.

`make chaos SEED=… MINUTES=…`, or `python -m tests.chaos --seed N --minutes M [--only KIND]`.
"""
