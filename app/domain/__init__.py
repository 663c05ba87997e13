"""The words: plain values and rules, with no I/O and no framework."""
