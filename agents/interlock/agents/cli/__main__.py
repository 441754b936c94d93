"""`python -m interlock.agents.cli` is `interlock`."""

from interlock.agents.cli import main

main()
