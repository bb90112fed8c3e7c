"""Controls: simple policies that a policy must beat before its metrics mean anything.

=============  ===================================================================
random         every agent with the same probability
cheapest       the agent with the lowest expected cost: on recorded costs, the lowest mean
best-single    always the agent with the highest mean quality (in-sample)
zero-router    a random mix of two agents, at the policy's own mean cost (in-sample)
shuffle        the policy's own choices, assigned to the tasks at random
length         the policy's own mix of agents, the longest texts to the most expensive
category       the best agent of each category, learned on other folds
oracle         the best agent of each task, the cheapest among equals (in-sample)
=============  ===================================================================

In-sample: fitted or chosen on the very tasks it is scored on, so its figures are too favourable.

:func:`~routingsim.evaluation.recorded_controls` computes them on recorded outcomes, the
random ones in expectation; :func:`~routingsim.evaluation.control_policies` makes them
policies for the simulator, and :func:`~routingsim.evaluation.control_replays` runs them
beside a replay. A policy that is not better than its shuffle does not use the text:
:func:`~routingsim.evaluation.text_use` tests it.
"""
