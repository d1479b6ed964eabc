from .adaptive import Adaptive as Adaptive
from .base import Attack as Attack
from .base import Collusion as Collusion
from .base import Context as Context
from .base import Forgery as Forgery
from .base import View as View
from .bitflip import BitFlip as BitFlip
from .catalogue import ADAPTIVE as ADAPTIVE
from .catalogue import ATTACKS as ATTACKS
from .catalogue import PAPER as PAPER
from .catalogue import WORST as WORST
from .catalogue import WORST_SEEDS as WORST_SEEDS
from .catalogue import make as make
from .catalogue import names as names
from .combined import Combined as Combined
from .extreme import Extreme as Extreme
from .ipm import IPM as IPM
from .labelflip import LabelFlip as LabelFlip
from .lie import LIE as LIE
from .mimic import Mimic as Mimic
from .minmax import MinMax as MinMax
from .minsum import MinSum as MinSum
from .none import NoAttack as NoAttack
from .opt import Opt as Opt
from .strike import STRIKE as STRIKE
from .user import UserAttack as UserAttack

__all__: list[str]
