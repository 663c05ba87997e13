"""The same prompts through what a user would take instead: one small program for each.

Each is run by the Python of an environment of its own, with the base URL of the mock provider, the
file of prompts and the calls in flight as its arguments, and ends when all are answered.
"""
