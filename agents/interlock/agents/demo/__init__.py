"""The whole team at work on one ticket, in the sandbox."""
