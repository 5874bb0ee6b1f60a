"""What both tasks share: the state, the loop, checkpoints and the run folder."""
