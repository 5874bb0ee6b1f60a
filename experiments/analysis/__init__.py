"""The assignment's questions, answered by traced, trained and compiled networks."""
