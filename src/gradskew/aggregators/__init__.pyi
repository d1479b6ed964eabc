from .aksel import Aksel as Aksel
from .base import Aggregator as Aggregator
from .base import Mixed as Mixed
from .base import Mixing as Mixing
from .base import Outcome as Outcome
from .base import WeightedRule as WeightedRule
from .base import least_kappa as least_kappa
from .bucketing import Bucketing as Bucketing
from .catalogue import MIXINGS as MIXINGS
from .catalogue import RULES as RULES
from .catalogue import make as make
from .catalogue import names as names
from .cclip import CClip as CClip
from .dnc import DnC as DnC
from .fltrust import FLTrust as FLTrust
from .mean import Mean as Mean
from .median import Median as Median
from .multikrum import MultiKrum as MultiKrum
from .nnm import NNM as NNM
from .rbtm import RBTM as RBTM
from .rfa import RFA as RFA
from .user import UserRule as UserRule

__all__: list[str]
