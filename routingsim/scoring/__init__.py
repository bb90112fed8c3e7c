"""D_var, the complexity score of a text."""

from routingsim.scoring.dvar import DEFAULT_WEIGHTS, DvarWeights, d_var, score, score_column

__all__ = ["DEFAULT_WEIGHTS", "DvarWeights", "d_var", "score", "score_column"]
