from .base import Model as Model
from .catalogue import MODELS as MODELS
from .catalogue import make as make
from .convolutional import CNN as CNN
from .convolutional import AlexNet as AlexNet
from .convolutional import FemnistCNN as FemnistCNN
from .dense import MLP as MLP
from .dense import Linear as Linear
from .flat import Flat as Flat
from .flat import check_scores as check_scores
from .flat import initial as initial
from .flat import num_parameters as num_parameters
from .lstm import LSTM as LSTM
from .resnet import ResNet18 as ResNet18
from .stacking import check_stacks as check_stacks
from .stacking import stacked as stacked
from .transformer import Transformer as Transformer
from .user import UserModel as UserModel

__all__: list[str]
