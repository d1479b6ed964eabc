from . import aggregators as aggregators
from . import attacks as attacks
from . import skew as skew
from .core.errors import InputError as InputError
from .core.round import Round as Round
from .data import CIFAR10 as CIFAR10
from .data import FEMNIST as FEMNIST
from .data import Dataset as Dataset
from .data import Digits as Digits
from .data import FashionMNIST as FashionMNIST
from .data import ImageNet12 as ImageNet12
from .data import Imagenette as Imagenette
from .data import Source as Source
from .data import Split as Split
from .data.partition import IID as IID
from .data.partition import ByWriter as ByWriter
from .data.partition import Dirichlet as Dirichlet
from .federation import SGD as SGD
from .federation import Result as Result
from .federation import Run as Run
from .federation import simulate as simulate
from .models import CNN as CNN
from .models import MLP as MLP
from .models import AlexNet as AlexNet
from .models import FemnistCNN as FemnistCNN
from .models import Linear as Linear
from .models import ResNet18 as ResNet18
from .models import UserModel as UserModel
from .report import Lens as Lens
from .report import Table as Table
from .runs import Cluster as Cluster
from .runs import Record as Record
from .runs import Store as Store
from .runs import grid as grid
from .runs import sweep as sweep

__all__: list[str]
__version__: str
