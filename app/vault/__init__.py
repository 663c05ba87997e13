"""The vault: the only holder of the master key, and of what is sealed under it."""
