"""One module per contender: how its documentation has one publish and consume, with equal guarantees where it can."""
