"""Writes results to MLflow and reads them back. No other room imports mlflow.

The settings here are for MLflow itself, which reads them when it is imported.
"""

from __future__ import annotations

import os
import warnings

# MLflow sends no usage data, prints warnings only, and shows no progress bars for small files.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # the default takes minutes; results wait in the outbox
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

# MLflow imports tqdm's bars for notebooks, which ask for a further package.
warnings.filterwarnings("ignore", message="IProgress not found")
