"""`python -m api.cli`: the same as `overnight`."""

from api.cli import main

main()
