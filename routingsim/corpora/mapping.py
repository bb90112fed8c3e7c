"""Which columns of somebody else's file may hold our fields: a mapping to start from."""

import re
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

# Names in use elsewhere for our fields, in lower case without punctuation; the likelier first.
NAMES_ELSEWHERE: Mapping[str, str] = {
    "id": "id requestid customid generationid spanid runid callid messageid traceid docid "
    "conversationid taskid queryid questionid promptid exampleid sampleid logid eventid recordid "
    "rowid uuid uid guid key index sessionid",
    "session_id": "sessionid conversationid threadid chatid traceid",
    "agent": "agent model modelname modelpermaslug modelid llm llmmodel modelused modelgroup "
    "requestmodel responsemodel deployment engine provider",
    "text": "text prompt question query userinput userprompt usermessage message messages input "
    "inputs conversation conversations content instruction task prompttext inputtext request "
    "utterance body",
    "arrived_at": "arrivedat timestamp createdat startedat starttime requesttime receivedat "
    "created time datetime date ts arrivaltime starttimeunixnano starttimens starttimems "
    "timestampms timestampns startms requesttimestamp requestedat loggedat",
    "ended_at": "endedat endtime completedat finishedat responsetimestamp endtimeunixnano "
    "endtimens endtimems respondedat",
    "prompt_tokens": "prompttokens tokensprompt inputtokens requesttokens inputusage inputlength "
    "contexttokens numprompttokens tokensin promptlen inputlen",
    "cached_tokens": "cachedtokens cachereadtokens cachereadinputtokens tokenscached",
    "cache_write_tokens": "cachewritetokens cachecreationtokens cachecreationinputtokens",
    "output_tokens": "outputtokens completiontokens tokenscompletion responsetokens outputusage "
    "outputlength generatedtokens numoutputtokens tokensout outputlen tokens",
    "ttft": "ttft ttftms timetofirsttoken timetofirsttokenms firsttokenms firsttokenlatency "
    "firsttokenlatencyms",
    "latency": "latency latencyms latencys duration durationms durations elapsed elapsedtime "
    "elapsedms responsetime responsetimems generationtimems totaltimems totaltime totallatency "
    "e2elatency requestlatency delayms latencyseconds durationseconds latencysec durationsec "
    "latencyus durationus latencyns durationns",
    "cost": "cost costusd totalcost costtotal spend price totalcostusd",
    "status": "status statuscode success succeeded issuccess ok failed iserror error level "
    "responsestatus state",
    "quality": "quality score rating reward performance grade correct iscorrect isgood",
    "propensity": "propensity",
    "tags": "tags category taskname tasktype dataset topic subject source",
}

_PARTS = {
    "agent": {"model", "agent", "llm"},
    "latency": {"latency", "duration", "elapsed", "took", "ms", "millis", "milliseconds"},
    "arrived_at": {"when", "date", "datetime", "timestamp", "started", "created", "start"},
}
"""Words in a column's name that tell its field, where no whole name does."""

_TIMES = ("arrived_at", "ended_at")
_UNITS = (
    (r"(ms|millis|milliseconds)$", "ms"),
    (r"(us|micros|microseconds)$", "us"),
    (r"(ns|nano|nanos|nanoseconds)$", "ns"),
)
_OF_A_LOG = {"text", "arrived_at", "latency", "agent"}


def plain(name: str) -> str:
    """A column's name without what differs between exports: case, blanks and underscores."""
    return re.sub(r"[\W_]", "", name.casefold())


def likely(columns: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """The likeliest column of each field, with its unit where its name or values tell it."""
    alike = {plain(name): name for name in reversed(list(columns))}
    found: dict[str, str] = {}
    used: set[str] = set()
    for ours, names in NAMES_ELSEWHERE.items():
        for name in names.split():
            theirs = alike.get(name)
            if theirs is None or theirs in used:
                continue
            if ours == "id" and not _tells_apart(columns[theirs]):
                continue
            found[ours] = theirs + _unit(ours, name, columns[theirs])
            used.add(theirs)
            break
    for ours, parts in _PARTS.items():
        if ours not in found:
            rest = (name for name in columns if name not in used and parts & set(_parts_of(name)))
            if theirs := next(rest, None):
                found[ours] = theirs + _unit(ours, plain(theirs), columns[theirs])
                used.add(theirs)
    if "id" not in found:
        ids = (name for name in columns if plain(name).endswith("id") and name not in used)
        if other := next((name for name in ids if _tells_apart(columns[name])), None):
            found = {"id": other, **found}
    return found


def _parts_of(name: str) -> list[str]:
    """The words of a column's name: ``how_long_ms`` and ``howLongMs`` have three."""
    return re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name).replace("_", " ").casefold().split()


def written(given: Mapping[str, str]) -> str:
    """A mapping as ``--map`` takes it, quoted for a shell where it needs to be."""
    text = ",".join(f"{ours}={theirs}" for ours, theirs in given.items())
    return f"'{text}'" if re.search(r"[^\w=,.:/@+-]", text) else text


def map_to_start_from(columns: Mapping[str, Sequence[Any]]) -> str:
    """``; to start from: --map …``, ready to paste; "" where no column is like a field of a log."""
    found = likely(columns)
    if not _OF_A_LOG & found.keys():
        return ""
    ids = "" if "id" in found else " (ids are the records' numbers then)"
    return f"; to start from: --map {written(found)}{ids}"


def suggestions(unused: Collection[str], columns: Collection[str]) -> str:
    """How columns that were left could be used: "; rename …", or "" where nothing is known."""
    alike = {plain(column): column for column in reversed(list(unused))}
    found = {
        ours: theirs
        for ours in ("arrived_at", "prompt_tokens")
        if ours not in columns
        and (theirs := next((alike[n] for n in NAMES_ELSEWHERE[ours].split() if n in alike), None))
    }
    for ours in ("id", "text", "arrived_at", "category", "prompt_tokens"):
        if ours not in columns:
            for name in get_close_matches(ours, unused, n=1, cutoff=0.85):
                found[ours] = name
    said = ", ".join(f"rename {theirs} to {ours}" for ours, theirs in sorted(found.items()))
    return f"; to use {'it' if len(unused) == 1 else 'them'}, {said}" if said else ""


def _unit(ours: str, name: str, values: Sequence[Any]) -> str:
    if ours not in ("ttft", "latency", *_TIMES):
        return ""
    numbers = [float(each) for each in values[:200] if _is_number(each)]
    if ours in _TIMES:
        if not numbers:
            return ""  # dates
        median = sorted(numbers)[len(numbers) // 2]
        for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)):
            if 5e8 * factor <= median < 5e9 * factor:
                return f":epoch_{unit}"
    return next((f":{unit}" for pattern, unit in _UNITS if re.search(pattern, name)), "")


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, bool)


def _tells_apart(values: Sequence[Any]) -> bool:
    """Whether every record has a value of its own."""
    return None not in values and len(set(map(str, values))) == len(values)
