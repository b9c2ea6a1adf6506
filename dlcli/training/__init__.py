"""Training: from encoded rows to trained weights, by the compiled or the Keras engine."""
