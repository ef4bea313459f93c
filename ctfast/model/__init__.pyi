"""The public names of ctfast.model: where each lives and what it needs, as ctfast.dispatch.lazy reads it."""

from .commands.evaluate import evaluate_run as evaluate_run
from .commands.export import export_run as export_run
from .commands.options import EvaluateOptions as EvaluateOptions
from .commands.options import PredictOptions as PredictOptions
from .commands.options import TrainOptions as TrainOptions
from .commands.predict import predict_files as predict_files
from .commands.train import train_run as train_run
from .config import Augmentation as Augmentation
from .config import ModelConfig as ModelConfig
from .config import TrainConfig as TrainConfig
from .data.dataset import Dataset as Dataset
from .data.dataset import load_dataset as load_dataset
from .data.preprocessing import Preprocessing as Preprocessing
from .data.split import group_folds as group_folds
from .data.split import split_by_group as split_by_group
from .evaluation.cross_validation import CrossValidation as CrossValidation
from .evaluation.cross_validation import NetworkLearner as NetworkLearner
from .evaluation.cross_validation import cross_validate as cross_validate
from .evaluation.scores import Evaluation as Evaluation
from .evaluation.scores import evaluate as evaluate
from .exchange.jax_export import load_jax as load_jax  # extra nn: jax
from .exchange.keras_files import load_keras as load_keras  # extra nn: jax
from .exchange.keras_files import save_keras as save_keras  # extra nn: jax
from .network.explain import class_activation as class_activation  # extra nn: jax
from .network.sequential4 import Sequential4 as Sequential4  # extra nn: jax
from .run_folder import TrainedModel as TrainedModel  # extra nn: jax
from .run_folder import load_run as load_run  # extra nn: jax
from .training.fit import FitResult as FitResult  # extra nn: jax
from .training.fit import fit as fit  # extra nn: jax

EXTRA: tuple[str, ...]
