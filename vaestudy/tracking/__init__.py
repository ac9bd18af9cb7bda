"""Results to MLflow and back. The only room that imports mlflow."""
