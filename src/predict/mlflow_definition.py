"""What MLflow runs to make the model: its definition from code."""

from mlflow.models import set_model

from src.predict.mlflow_model import Earsight

set_model(Earsight())
