"""The use cases: the only place where capabilities meet. A step is one transaction or a few."""
