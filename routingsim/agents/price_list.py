"""Prices of models, looked up in genai-prices, and the one price that blends two.

genai-prices (Pydantic, MIT) comes with the price lists of the providers and reads nothing from
the network unless it is asked to. Its release and the day of the look-up are noted with the
prices. Where a provider's prices rise with the length of the prompt, those of short prompts
are taken.
"""

from datetime import UTC, datetime
from typing import Any

from routingsim.errors import AgentError

_FIELDS = {
    "price_input": "input_mtok",
    "price_output": "output_mtok",
    "price_cache_read": "cache_read_mtok",
    "price_cache_write": "cache_write_mtok",
}


def blended(price_input: float, price_output: float) -> float:
    """USD per 1,000 tokens of three tokens of prompts for one of an answer.

    ``price_input`` and ``price_output`` are in USD per million tokens. The shares are those in
    which Artificial Analysis blends prices (its methodology, "blended price").
    """
    return (3.0 * price_input + price_output) / 4000.0


def looked_up(agent: str, model: str) -> dict[str, float | str]:
    """The prices of a model (USD per million tokens) and ``price_source``, as fields of an agent.

    Parameters
    ----------
    agent : str
        The agent's id, for messages.
    model : str
        ``PROVIDER/MODEL`` as genai-prices names them, or a model of the provider that its name
        tells.

    Raises
    ------
    AgentError
        If genai-prices is not installed, does not know the model, or has no price of its
        prompts and answers.
    """
    place = f"agent {agent}, field prices: {model!r}"
    try:
        import genai_prices
        from genai_prices.data_snapshot import get_snapshot
    except ImportError:
        raise AgentError(
            f"{place} is looked up in genai-prices, which is not installed: "
            "pip install 'routingsim[prices]'; or give price_input and price_output"
        ) from None
    today = datetime.now(tz=UTC)
    provider, _, name = model.rpartition("/")
    try:
        _, found = get_snapshot().find_provider_model(name, None, provider or None, None)
    except LookupError as error:
        raise AgentError(
            f"{place} is not in genai-prices {genai_prices.__version__} ({error}); name it "
            "PROVIDER/MODEL, as openai/gpt-4o, or give price_input and price_output"
        ) from None
    prices = found.get_prices(today)
    values = {field: _base(getattr(prices, key)) for field, key in _FIELDS.items()}
    known = {field: value for field, value in values.items() if value is not None}
    if not {"price_input", "price_output"} <= known.keys():
        raise AgentError(
            f"{place} has no price of prompts and answers by tokens in genai-prices "
            f"{genai_prices.__version__}; give price_input and price_output"
        )
    source = f"{model}: genai-prices {genai_prices.__version__}, {today:%Y-%m-%d}"
    return {**known, "price_source": source}


def _base(price: Any) -> float | None:
    """A price in USD, that of short prompts where there are several; None if there is none."""
    value = getattr(price, "base", price)
    return None if value is None else float(value)
