"""The AsyncAPI document and the TypeScript types, held to frames and messages as they are sent."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from routingsim.live.bridge import protocol
from routingsim.live.bridge.protocol import CHANNELS, Limits, Session
from routingsim.live.http.asyncapi import document, typescript
from routingsim.messages import ReplayProgress, decode, encode
from routingsim.routing import TaskRouter


def sent() -> list[bytes]:
    """Frames and messages of every kind, as the bridge sends them."""
    session = Session(Limits(subscriptions=1), 0.0)
    asked = [
        '{"type":"subscribe","channel":"task:routing"}',
        '{"type":"unsubscribe","channel":"task:routing"}',
        '{"type":"ping"}',
        '{"type":"auth","token":"x"}',
        "{",
        '{"type":"x"}',
        '{"type":"subscribe","channel":"x"}',
    ]
    replies = [action for frame in asked for action in session.receive(frame)]
    frames = [each if isinstance(each, bytes) else each.reply for each in replies]  # pyright: ignore
    router = TaskRouter()
    decision = router.route("Say hello")
    bodies = [decision, *router.statuses(), ReplayProgress("x", 1.0, None, 2.0, 0.1, False, 5)]
    with_id = [encode(body)[:-1] + b',"id":"5-0"}' for body in bodies]
    return [
        *frames,
        *(protocol.gap("task:routing", (5, 0), oldest) for oldest in ((7, 1), None)),
        protocol.dropped("task:routing", 3),
        protocol.upstream_status(False),
        *map(encode, bodies),
        *with_id,
    ]


def test_everything_sent_is_in_the_document() -> None:
    told = document()
    schemas = told["components"]["schemas"]
    by_type = {
        schema["properties"]["type"]["enum"][0]: name
        for name, schema in schemas.items()
        if "type" in schema["properties"]
    }
    found = set()
    for text in sent():
        frame = json.loads(text)
        name = by_type[frame["type"]]
        found.add(name)
        whole = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
        jsonschema.validate(frame, whole)
    listed = {
        each["$ref"].rpartition("/")[2] for each in told["operations"]["bridgeSends"]["messages"]
    }
    assert found == listed
    assert {*told["channels"]["bridge"]["messages"]} == {*told["components"]["messages"]}
    references = {part.split('"')[0] for part in json.dumps(told).split('"$ref": "#/')[1:]}
    for reference in references:
        place: Any = told
        for part in reference.split("/"):
            place = place[part]


def test_types_of_a_message() -> None:
    said = typescript()
    assert (
        """\
/** A decision as a message. */
export interface DecisionMessage {
  type: "routing_decision";
  payload: RoutingDecision;
  id?: string | null;
}
"""
        in said
    )
    assert 'export type Channel = "task:routing" | "agent:status" | "replay:progress";' in said
    assert "export type Message = DecisionMessage | StatusMessage | ReplayMessage;" in said
    assert "  since?: string | null;" in said


def compiler() -> str | None:
    """The TypeScript compiler that .ci/run installs, or `tsc` on PATH."""
    ours = Path(__file__).parents[3] / "build/node/node_modules/.bin/tsc"
    return str(ours) if ours.exists() else shutil.which("tsc")


@pytest.mark.slow
def test_the_compiler_takes_the_types_and_what_is_sent(tmp_path: Path) -> None:
    tsc = compiler()
    if tsc is None:
        pytest.skip("no TypeScript compiler: npm install --prefix build/node typescript")
    (tmp_path / "stream.d.ts").write_text(typescript(), encoding="utf-8")

    types = "type Message, type ServerFrame, type ClientFrame"
    imports = f'import {{ openStream, {types} }} from "./stream.js";\n'
    frames = ",\n".join(text.decode() for text in sent())
    asked: list[dict[str, Any]] = [
        {"type": "subscribe", "channel": channel, "since": "5-0"} for channel in CHANNELS
    ]
    good = f"""{imports}
    const frames: (Message | ServerFrame)[] = [{frames}];
    const asked: ClientFrame[] = {json.dumps(asked)};
    const stream = openStream("ws://localhost:3001", null, {{ "task:routing": 10 }}, {{
      message(message, isNew) {{
        if (message.type === "routing_decision") {{
          const cost: number = message.payload.agent.cost;
        }} else if (message.type === "agent_status") {{
          const status: "available" | "busy" | "offline" = message.payload.status;
        }} else {{
          const end: number | null = message.payload.end;
        }}
      }},
      state(name) {{}},
      lost(text) {{}},
    }});
    stream.close();
    """
    wrong = (
        'const a: ClientFrame = { type: "subscribe", channel: "nowhere" };',
        'const b: ServerFrame = { type: "gap", channel: "task:routing", since: "1" };',
        'const c: Message = { type: "agent_status", payload: {} };',
        "const d: Message = 5;",
    )
    refused = "".join(f"// @ts-expect-error\n{line}\n" for line in wrong)
    (tmp_path / "main.ts").write_text(good + refused, encoding="utf-8")
    options = ["--strict", "--noEmit", "--target", "es2022", "--module", "es2022"]
    command = [tsc, *options, "--moduleResolution", "bundler", str(tmp_path / "main.ts")]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == ""


def test_messages_decode_as_they_are_typed() -> None:
    kinds = {type(decode(text)) for text in sent() if b'"payload"' in text}
    assert {kind.__name__ for kind in kinds} == {
        "DecisionMessage",
        "StatusMessage",
        "ReplayMessage",
    }
    assert all(msgspec.json.decode(text) for text in sent())
