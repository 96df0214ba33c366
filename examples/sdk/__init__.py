"""One runnable example for each way to call a model, and each framework."""
