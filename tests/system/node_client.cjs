// A WebSocket client as people write it with Node's `ws`.
// Arguments: URL, number of decisions to wait for. Prints each message on a line of its own.
const { WebSocket } = require("ws");
const [url, count] = process.argv.slice(2);
const ws = new WebSocket(url);
let left = Number(count);
ws.on("open", () => {
  for (const channel of ["task:routing", "agent:status"]) {
    ws.send(JSON.stringify({ type: "subscribe", channel, history: 1000 }));
  }
});
ws.on("message", (data, isBinary) => {
  if (isBinary) throw new Error("a binary frame");
  const message = JSON.parse(data);
  console.log(JSON.stringify(message));
  if (message.type === "routing_decision" && --left === 0) ws.close(1000);
});
ws.on("close", (code) => process.exit(code === 1000 ? 0 : 1));
