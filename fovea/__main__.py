"""`python -m fovea` is the command `fovea`."""

from fovea.cli import main

main()
