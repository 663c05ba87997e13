"""The supervisor of one machine: what `overnight up` runs, kept running, and taken down whole."""
