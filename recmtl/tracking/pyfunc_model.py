"""The file that MLflow runs to load a bundle (models from code): it names the model, no more."""

from mlflow.models import set_model

from recmtl.tracking.pyfunc import BundleModel

set_model(BundleModel())
