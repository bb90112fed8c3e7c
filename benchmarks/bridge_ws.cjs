// The peer of bridge.py: Redis pub/sub to WebSocket clients with Node's `ws`, as its manual
// broadcasts. Arguments: port of Redis, channel. Prints the port it listens on.
const net = require("node:net");
const { WebSocketServer, WebSocket } = require("ws");
const [redisPort, channel] = process.argv.slice(2);

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
server.on("connection", (client) => client.once("message", () => client.send("{}")));
server.on("listening", () => console.log(server.address().port));

// "*3\r\n$7\r\nmessage\r\n$n\r\n<channel>\r\n$m\r\n<body>\r\n"
const head = Buffer.from(`*3\r\n$7\r\nmessage\r\n$${channel.length}\r\n${channel}\r\n$`);
let rest = Buffer.alloc(0);
const redis = net.connect(Number(redisPort), "127.0.0.1");
redis.write(`*2\r\n$9\r\nSUBSCRIBE\r\n$${channel.length}\r\n${channel}\r\n`);
redis.on("data", (data) => {
  rest = rest.length ? Buffer.concat([rest, data]) : data;
  for (;;) {
    const start = rest.indexOf(head);
    if (start < 0) return;
    const line = rest.indexOf("\r\n", start + head.length);
    if (line < 0) return;
    const size = Number(rest.toString("latin1", start + head.length, line));
    if (rest.length < line + 2 + size + 2) return;
    const body = rest.subarray(line + 2, line + 2 + size);
    rest = rest.subarray(line + 2 + size + 2);
    for (const client of server.clients) {
      if (client.readyState === WebSocket.OPEN) client.send(body, { binary: false });
    }
  }
});
