"""Local emulators of outside systems, spoken to over their real protocols by the same clients as production."""
