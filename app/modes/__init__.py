"""Modes: how a job is answered, as pure plans of rounds."""
