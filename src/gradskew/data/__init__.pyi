from .arrays import from_arrays as from_arrays
from .arrays import to_arrays as to_arrays
from .base import Dataset as Dataset
from .base import Source as Source
from .base import Split as Split
from .catalogue import PARTITIONS as PARTITIONS
from .catalogue import SOURCES as SOURCES
from .catalogue import make as make
from .cifar10 import CIFAR10 as CIFAR10
from .classes import Classes as Classes
from .digits import Digits as Digits
from .fashion_mnist import DEBIAN_FASHION as DEBIAN_FASHION
from .fashion_mnist import FashionMNIST as FashionMNIST
from .fashion_mnist import read_idx as read_idx
from .femnist import FEMNIST as FEMNIST
from .file_source import FileSource as FileSource
from .imagenet import ImageNet12 as ImageNet12
from .imagenet import Imagenette as Imagenette
from .longtail import LongTail as LongTail
from .partition import IID as IID
from .partition import ByWriter as ByWriter
from .partition import Dirichlet as Dirichlet
from .partition import Partition as Partition
from .shards import Shards as Shards
from .similarity import Similarity as Similarity
from .sizes import Sizes as Sizes

__all__: list[str]
