"""What a policy must beat before its figures mean anything.

=============  ===================================================================
random         every agent with the same probability
cheapest       always the agent with the lowest mean cost
best-single    always the agent with the highest mean quality (in-sample)
zero-router    a random mix of two agents, at the policy's own mean cost (in-sample)
shuffle        the policy's own choices, assigned to the tasks at random
length         the policy's own mix of agents, the longest texts to the most expensive
category       the best agent of each category, learned on other folds
oracle         the best agent of each task, the cheapest among equals (in-sample)
=============  ===================================================================

In-sample: fitted or chosen on the very tasks it is scored on, so its figures flatter it.

:func:`recorded_controls` has them on recorded outcomes, where those that toss a coin are
taken at their expectation; :func:`control_policies` has them as policies for the
simulator, and :func:`control_replays` runs them beside a replay. A policy that is not
better than its shuffle does not use the text: :func:`text_use` tests it.
"""

from routingsim.evaluation.controls.choices import (
    category_choice,
    hull_mix,
    length_choice,
    shuffled,
)
from routingsim.evaluation.controls.offline import Control, control_table, recorded_controls
from routingsim.evaluation.controls.permutation import TextUse, text_use
from routingsim.evaluation.controls.simulated import (
    assigned,
    chosen_by,
    control_policies,
    control_replays,
)

__all__ = [
    "Control",
    "TextUse",
    "assigned",
    "category_choice",
    "chosen_by",
    "control_policies",
    "control_replays",
    "control_table",
    "hull_mix",
    "length_choice",
    "recorded_controls",
    "shuffled",
    "text_use",
]
