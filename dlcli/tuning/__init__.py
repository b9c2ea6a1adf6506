"""The search for a better config: candidates tried by Optuna, in one process or several."""
