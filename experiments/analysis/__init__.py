"""The assignment's questions, answered by tracing, training and compiling the networks."""
