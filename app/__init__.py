"""The work: everything Overnight does, knowing no route and no actor."""
