"""``python -m tadtune``."""

from tadtune.cli import main

main()
