"""The public names of routingsim and where they live."""

from . import evaluation as evaluation
from . import live as live
from . import messages as messages
from . import policies as policies
from .agents import Agent as Agent
from .agents import AgentPool as AgentPool
from .agents import load_agents as load_agents
from .corpus import Corpus as Corpus
from .datasets import corpora as corpora
from .datasets import load_corpus as load_corpus
from .errors import AgentError as AgentError
from .errors import BrokerError as BrokerError
from .errors import CorpusError as CorpusError
from .errors import PolicyError as PolicyError
from .errors import ProtocolError as ProtocolError
from .errors import RoutingSimError as RoutingSimError
from .errors import SimulationError as SimulationError
from .live.stack import LiveStack as LiveStack
from .policies.kernel import choose_kernel as choose_kernel
from .policies.kernel import draw as draw
from .policies.kernel import learn_kernel as learn_kernel
from .policies.policy import Policy as Policy
from .report.html import write_report as write_report
from .routing import TaskRouter as TaskRouter
from .scoring import score as score
from .scoring import score_column as score_column
from .simulation import theory as theory
from .simulation.arrivals import MMPP as MMPP
from .simulation.arrivals import ClosedLoop as ClosedLoop
from .simulation.arrivals import CorpusTimes as CorpusTimes
from .simulation.arrivals import Deterministic as Deterministic
from .simulation.arrivals import Diurnal as Diurnal
from .simulation.arrivals import Gamma as Gamma
from .simulation.arrivals import Piecewise as Piecewise
from .simulation.arrivals import Poisson as Poisson
from .simulation.arrivals import Superposition as Superposition
from .simulation.arrivals import Trace as Trace
from .simulation.arrivals import Weibull as Weibull
from .simulation.arrivals import burst as burst
from .simulation.arrivals import parse_arrivals as parse_arrivals
from .simulation.replay import replay as replay
from .simulation.result import ReplayResult as ReplayResult
from .simulation.scenario import Retries as Retries
from .simulation.service import Outage as Outage

__version__: str
