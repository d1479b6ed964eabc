"""The networks, one family a file, and a network seen as one flat vector of parameters."""

from ..core.importing import is_path
from ..core.names import Registry, parse_one
from .base import Model
from .convolutional import CNN, AlexNet, FemnistCNN
from .dense import MLP, Linear
from .flat import Flat, initial, num_parameters, stacked
from .resnet import ResNet18
from .user import UserModel, from_path

__all__ = [
    "CNN",
    "MLP",
    "MODELS",
    "AlexNet",
    "FemnistCNN",
    "Flat",
    "Linear",
    "Model",
    "ResNet18",
    "UserModel",
    "from_path",
    "initial",
    "make",
    "num_parameters",
    "stacked",
]

MODELS: Registry[Model] = Registry("model", [Linear, MLP, CNN, FemnistCNN, AlexNet, ResNet18])


def make(name: str) -> Model:
    """The model with this name: `mlp(hidden=(200,100))`, `resnet18(norm=group)`; with a colon, the path of a user's."""
    if is_path(name):
        return from_path(name)
    return MODELS.make(*parse_one(name, "model"))
