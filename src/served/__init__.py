"""A finished run as an MLflow model: a folder that holds its settings, head, weights and code, and no pickle."""
