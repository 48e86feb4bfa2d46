"""Training: the loop, its checkpoints, the run folder and the logs. The loop knows no model."""
