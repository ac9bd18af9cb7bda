"""Writes results to MLflow and reads them back. No other room imports mlflow."""
