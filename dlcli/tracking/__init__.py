"""Tracking of trainings with TensorBoard, MLflow and other tools: listeners to pipeline events."""
