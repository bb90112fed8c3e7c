"""Which columns of somebody else's file may hold our fields: hints for error messages."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from routingsim.corpora.rows import shown

# Names in use elsewhere for our fields, in lower case without punctuation; the likelier first.
_TASK = {
    "id": "id requestid customid docid generationid conversationid taskid traceid spanid messageid "
    "queryid questionid promptid exampleid sampleid callid runid logid eventid recordid rowid uuid "
    "uid guid key index sessionid",
    "text": "text prompt question query userinput userprompt usermessage message messages input "
    "inputs conversation conversations content instruction task prompttext inputtext request "
    "utterance body",
    "arrived_at": "arrivedat timestamp createdat startedat starttime requesttime receivedat "
    "created time datetime date ts arrivaltime starttimeunixnano",
    "category": "category taskname tasktype dataset topic subject source",
    "prompt_tokens": "prompttokens tokensprompt inputtokens requesttokens inputusage inputlength "
    "contexttokens",
}
_AGENT = "model modelname modelpermaslug modelid llm agent deployment provider"
_OUTCOME = {
    "quality": "quality score rating reward performance grade correct iscorrect isgood",
    "cost": "cost costusd totalcost costtotal spend price",
    "latency": "latency latencyms latencys duration durationms durations elapsed elapsedtime "
    "responsetime responsetimems generationtimems totaltimems",
    "output_tokens": "outputtokens completiontokens tokenscompletion responsetokens outputusage "
    "outputlength generatedtokens",
    "failed": "failed iserror error",
    "not failed": "success succeeded issuccess ok",
}

# Exports that are known by all the fields which they always have, and are not read yet.
_TOOLS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("a LiteLLM spend log", ("request_id", "call_type", "spend", "startTime", "model"), ""),
    ("an export of Langfuse observations", ("traceId", "startTime", "type", "model", "level"), ""),
    (
        "an export of OpenRouter's activity",
        ("generation_id", "created_at", "cost_total", "tokens_prompt"),
        "",
    ),
    (
        "a BurstGPT trace",
        ("Timestamp", "Model", "Request tokens", "Response tokens", "Log Type"),
        "",
    ),
    (
        "an LLMRouter routing log",
        ("task_name", "query", "model_name", "performance", "response_time"),
        "; the rows of a 'query' become one row with the outcomes of each model",
    ),
    (
        "a file of OpenTelemetry spans",
        ("resourceSpans",),
        "; to start from: make a row of each span, with 'spanId' as 'id', the last user message "
        "of the attribute gen_ai.input.messages as 'text', 'startTimeUnixNano' as 'arrived_at', "
        "and of the attribute gen_ai.request.model AGENT make columns outcomes.AGENT.latency, "
        "outcomes.AGENT.output_tokens and so on",
    ),
    (
        "a promptfoo result",
        ("evalId", "results"),
        "; to start from: make a row of each 'testIdx' in results.results, with 'prompt.raw' as "
        "'text', and of each 'provider.id' AGENT make columns outcomes.AGENT.quality ('score'), "
        "outcomes.AGENT.cost ('cost') and outcomes.AGENT.latency ('latencyMs' / 1,000)",
    ),
    (
        "the output of an OpenAI batch",
        ("custom_id", "response", "error"),
        "; to start from: rename 'custom_id' to 'id', take each 'text' from the batch's input "
        "file, for here are the answers only, and of each 'response.body.model' AGENT make columns "
        "outcomes.AGENT.output_tokens and so on",
    ),
)


def foreign_tool(columns: Collection[str]) -> str:
    """A remark on which tool's export has these columns; "" where none is known."""
    for name, always, remark in _TOOLS:
        if all(each in columns for each in always):
            return f"; this is {name}, which is not read as it is{remark}"
    return ""


def renaming(missing: Iterable[str], columns: Mapping[str, Sequence[Any]]) -> str:
    """A mapping to start from, for a file in which columns of ours are missing.

    Parameters
    ----------
    missing : iterable of str
        The columns of ours that the file needs.
    columns : mapping of str to sequence
        Those it has, with their values.

    Returns
    -------
    str
        Begins with "; ", or is empty where nothing can be said.
    """
    tool = foreign_tool(columns)
    if "to start from" in tool:
        return tool
    plain = {_plain(column): column for column in reversed(list(columns))}
    own = {name: column for name, column in plain.items() if column not in _TASK}
    ids = {name: column for name, column in own.items() if _tells_apart(columns[column])}
    likely = {
        ours: found
        for ours, names in _TASK.items()
        if ours not in columns and (found := _first(names, ids if ours == "id" else own))
    }
    other_id = next((ids[name] for name in ids if name.endswith("id")), None)
    if "id" in missing and other_id:
        likely.setdefault("id", other_id)
    said = [f"rename {shown(theirs)} to {shown(ours)}" for ours, theirs in likely.items()]
    if "id" in missing and "id" not in likely and (likely or "text" not in missing):
        said.append("give every task an id of its own, such as its number")
    if likely and "text" in missing and "text" not in likely:
        said.append("give every task its text, or an empty one in a trace of times and tokens")
    agent = _first(_AGENT, plain)
    outcomes = [
        _outcome(field, found)
        for field, names in _OUTCOME.items()
        if (found := _first(names, plain))
    ]
    if agent and outcomes:
        said.append(
            f"and of each {shown(agent)} AGENT make columns {', '.join(outcomes)}, empty in the "
            "rows of other agents"
        )
    return f"{tool}; to start from: {', '.join(said)}" if said else tool


def suggestions(unused: Collection[str], columns: Collection[str]) -> str:
    """How columns that were left could be used: "; rename …", or "" where nothing is known."""
    plain = {_plain(column): column for column in reversed(list(unused))}
    likely = {
        ours: found
        for ours in ("arrived_at", "prompt_tokens")
        if ours not in columns and (found := _first(_TASK[ours], plain))
    }
    for ours in _TASK.keys() - columns:
        for name in get_close_matches(ours, unused, n=1, cutoff=0.85):
            likely[ours] = name
    said = ", ".join(f"rename {theirs} to {ours}" for ours, theirs in sorted(likely.items()))
    return f"; to use {'it' if len(unused) == 1 else 'them'}, {said}" if said else ""


def _outcome(field: str, column: str) -> str:
    if field == "not failed":
        return f"outcomes.AGENT.failed (the opposite of {shown(column)})"
    unit = " / 1,000" if field == "latency" and _plain(column).endswith("ms") else ""
    return f"outcomes.AGENT.{field} ({shown(column)}{unit})"


def _tells_apart(values: Sequence[Any]) -> bool:
    """Whether every record has a value of its own."""
    return None not in values and len(set(map(str, values))) == len(values)


def _first(names: str, plain: Mapping[str, str]) -> str | None:
    return next((plain[name] for name in names.split() if name in plain), None)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())
