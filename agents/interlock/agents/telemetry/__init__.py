"""What is told about the work: traces, measurements, logs and health; it knows no agent's task."""
