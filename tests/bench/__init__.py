"""`make bench`: how fast Overnight is, beside a raw client that does the same calls.

Everything is real and of this machine: a worker process, PostgreSQL or SQLite with every commit
on disk, Valkey, and a provider over HTTP, which is a mock of ours. Each bar is one line of JSON::

    python -m tests.bench [--quick] [--only NAME] [--out FILE]
"""
