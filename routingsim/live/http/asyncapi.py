"""What goes over the WebSocket, for other languages: an AsyncAPI document, TypeScript types.

Both are generated from the types that messages and frames are encoded from and decoded into.
"""

import inspect
from importlib.metadata import version
from typing import Any, get_args

import msgspec

from routingsim.live.bridge.frames import ClientFrame, ServerFrame
from routingsim.live.bridge.protocol import CHANNELS
from routingsim.live.http.schemas import (
    ConfigAnswer,
    Failure,
    Health,
    RouteAnswer,
    RouteRequest,
    StatsAnswer,
)
from routingsim.messages import Message

_ANSWERS = (RouteRequest, RouteAnswer, StatsAnswer, ConfigAnswer, Health, Failure)
_UNIONS: dict[str, Any] = {
    "Message": Message,
    "ServerFrame": ServerFrame,
    "ClientFrame": ClientFrame,
}

_CLIENT = """\
/** What `openStream` of stream.js calls. */
export interface StreamHandlers {
  /** Each message that can be shown; `isNew` is false for those that may be from before. */
  message(message: Message, isNew: boolean): void;
  state(
    name: "connecting" | "live" | "degraded" | "waiting" | "unauthorized",
    delay?: number,
  ): void;
  /** Messages are lost for good, or an error came. */
  lost(text: string): void;
}

export interface Stream {
  reconnect(): void;
  authorize(token: string): void;
  close(): void;
}

/** WebSocket address of the bridge, from a URL, ":port" on the page's host, or a path. */
export function bridgeAddress(setting: string, page?: string): string;

/** Whether a message can be shown: anyone may publish, and JSON holds any number. */
export function isReadable(message: { type?: unknown; payload?: unknown }): boolean;

/**
 * Connect to the bridge, reconnect until `close` is called, and resume after the last message.
 * `history` is the number of messages of each channel to ask for at first.
 */
export function openStream(
  address: string,
  token: string | null,
  history: Partial<Record<Channel, number>>,
  on: StreamHandlers,
): Stream;
"""


def document() -> dict[str, Any]:
    """The AsyncAPI 3.0 document of the bridge."""
    members = {kind.__name__: kind for union in _UNIONS.values() for kind in get_args(union)}
    _, schemas = msgspec.json.schema_components(
        list(members.values()), ref_template="#/components/schemas/{name}"
    )
    messages = {
        name: {
            "name": name,
            "summary": inspect.cleandoc(kind.__doc__ or "").partition("\n")[0],
            "contentType": "application/json",
            "payload": {"$ref": f"#/components/schemas/{name}"},
        }
        for name, kind in members.items()
    }
    received = [kind.__name__ for kind in get_args(ClientFrame)]

    def references(names: list[str]) -> list[dict[str, str]]:
        return [{"$ref": f"#/channels/bridge/messages/{name}"} for name in names]

    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "routingsim",
            "version": version("routingsim"),
            "description": "Routing decisions, agents' statuses and a replay's progress, as they "
            f"are published. Channels to subscribe to: {', '.join(CHANNELS)}. Times in messages "
            "are milliseconds since the epoch.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "bridge": {"host": "localhost:3001", "protocol": "ws", "pathname": "/"},
        },
        "channels": {
            "bridge": {
                "address": "/",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
            }
        },
        "operations": {
            "clientSends": {
                "action": "receive",
                "channel": {"$ref": "#/channels/bridge"},
                "messages": references(received),
            },
            "bridgeSends": {
                "action": "send",
                "channel": {"$ref": "#/channels/bridge"},
                "messages": references([name for name in messages if name not in received]),
            },
        },
        "components": {"messages": messages, "schemas": dict(sorted(schemas.items()))},
    }


def typescript() -> str:
    """Declarations of messages, frames and answers, and of what ``static/stream.js`` exports."""
    kinds = [kind for union in _UNIONS.values() for kind in get_args(union)]
    _, schemas = msgspec.json.schema_components([*kinds, *_ANSWERS], ref_template="{name}")
    parts = [
        f"// Types of routingsim {version('routingsim')}, generated. Times in messages are "
        "milliseconds since the epoch,\n// in answers of the HTTP API ISO 8601 texts.\n",
        f"export type Channel = {' | '.join(map(_literal, CHANNELS))};\n",
        *(_interface(name, schema) for name, schema in sorted(schemas.items())),
        *(
            f"export type {name} = {' | '.join(kind.__name__ for kind in get_args(union))};\n"
            for name, union in _UNIONS.items()
        ),
        _CLIENT,
    ]
    return "\n".join(parts)


def _interface(name: str, schema: dict[str, Any]) -> str:
    required = {*schema.get("required", ()), "success"}  # its default is always sent
    lines = [f"export interface {name} {{"]
    if text := schema.get("description"):
        lines.insert(0, f"/** {inspect.cleandoc(text).partition(chr(10))[0]} */")
    for field, kind in schema.get("properties", {}).items():
        if text := kind.get("description"):
            lines.append(f"  /** {text} */")
        absent = "" if field in required else "?"
        lines.append(f"  {field}{absent}: {'Channel' if field == 'channel' else _type(kind)};")
    return "\n".join([*lines, "}\n"])


def _type(schema: dict[str, Any]) -> str:
    """A JSON schema, as msgspec writes it, as a type."""
    if "$ref" in schema:
        return schema["$ref"]
    if "anyOf" in schema:
        return " | ".join(map(_type, schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(map(_literal, schema["enum"]))
    if "const" in schema:
        return _literal(schema["const"])
    match schema["type"]:
        case "array":
            kind = _type(schema["items"])
            return f"({kind})[]" if " | " in kind else f"{kind}[]"
        case "object":
            return f"Record<string, {_type(schema['additionalProperties'])}>"
        case "integer" | "number":
            return "number"
        case kind:
            return kind


def _literal(value: object) -> str:
    return msgspec.json.encode(value).decode()
