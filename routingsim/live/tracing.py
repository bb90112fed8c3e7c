"""OpenTelemetry: a router whose decisions are spans, for those who ask for it.

::

    router = TracedRouter(pool, "threshold", publisher=RedisPublisher())

or ``ROUTINGSIM_OTEL=true`` for ``serve``. It needs the extra ``otel``, the API of
OpenTelemetry; the program, or ``opentelemetry-instrument``, brings the SDK and an exporter.
Attributes are those of the semantic conventions for generative AI, and our own under
``routingsim.``. :class:`~routingsim.routing.TaskRouter` itself knows nothing of this.
"""

from typing import Any

import pandas as pd

from routingsim.errors import RoutingSimError
from routingsim.messages import RoutingDecision
from routingsim.routing import TaskRouter

try:
    from opentelemetry import trace
except ImportError:
    raise RoutingSimError(
        "spans need the extra otel, the API of OpenTelemetry: pip install 'routingsim[otel]'"
    ) from None


class TracedRouter(TaskRouter):
    """A :class:`~routingsim.routing.TaskRouter` with a span for each call that decides.

    A span is a child of the one under way, lasts from the text to the decision's hand-over to
    the publisher, and records what is raised.
    """

    def route(self, text: str, **options: Any) -> RoutingDecision:
        """Choose an agent for one text, in a span ``route_task``."""
        with self._span("route_task") as span:
            decision = super().route(text, **options)
            agent, scored = decision.agent, decision.complexity_score
            told = {
                "gen_ai.agent.id": agent.id,
                "gen_ai.agent.name": agent.name,
                "routingsim.task.id": decision.task_id,
                "routingsim.reason": decision.reason,
                "routingsim.d_var": scored.d_var,
                "routingsim.propensity": decision.propensity,
                "routingsim.expected_cost": decision.expected_cost,
                "routingsim.dropped": decision.dropped,
            }
            span.set_attributes({name: value for name, value in told.items() if value is not None})
        return decision

    def route_batch(self, tasks: Any, **options: Any) -> pd.DataFrame:
        """Choose an agent for each task in order, in one span ``route_batch``."""
        with self._span("route_batch") as span:
            table = super().route_batch(tasks, **options)
            span.set_attribute("routingsim.tasks", len(table))
        return table

    def _span(self, name: str) -> Any:
        told = {"gen_ai.operation.name": name, "routingsim.policy": self.policy.name}
        # A new tracer each time: the SDK may be set up after the router.
        return trace.get_tracer("routingsim").start_as_current_span(name, attributes=told)
