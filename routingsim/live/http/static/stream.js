// Client of the bridge for browsers: connects, reconnects, and resumes after the last message.
// The dashboard imports it; the table for notebooks contains a copy (../feed.html).

const FIRST_DELAY = 500; // ms, doubled after each failure
const LONGEST_DELAY = 15_000;
const PING_EVERY = 15_000; // ms without a message
const PING_TIMEOUT = 10_000; // ms after which the connection counts as lost
const CATCHING_UP = 2_000; // ms after which messages are new

const CHANNEL_OF = {
  routing_decision: "task:routing",
  agent_status: "agent:status",
  replay_progress: "replay:progress",
};

const isText = (value) => typeof value === "string";
const isNumber = (value, least, most) => typeof value === "number" && value >= least && value <= most;
const isAmount = (value) => isNumber(value, 0, 1e9); // USD, seconds, counts: sums of them are finite
const isTime = (value) => isNumber(value, 0, 8.64e15); // ms, as far as Date reaches

/** Whether a message can be shown: anyone may publish, and JSON holds any number. */
export function isReadable({ type, payload }) {
  if (typeof payload !== "object" || payload === null || !isTime(payload.timestamp)) return false;
  if (type === "agent_status") {
    return [payload.agentId, payload.name, payload.status].every(isText) && isNumber(payload.load, 0, 1e9);
  }
  if (type === "replay_progress") {
    const { title, at, end, speed, lag } = payload;
    return isText(title) && [at, end ?? 0, speed, Math.abs(lag)].every(isAmount);
  }
  const { taskId, agent, complexityScore, reason } = payload;
  const factors = complexityScore?.factors;
  return (
    [taskId, agent?.id, agent?.name, reason].every(isText) &&
    (agent.strengths === undefined || (Array.isArray(agent.strengths) && agent.strengths.every(isText))) &&
    isNumber(complexityScore?.d_var, 0, 1) &&
    [agent.cost, agent.latency, factors?.length, factors?.punctuation, factors?.uniqueTokens].every(isAmount)
  );
}

/** WebSocket address of the bridge, from a URL, ":port" on the page's host, or a path. */
export function bridgeAddress(setting, page = document.baseURI) {
  const url = new URL(page);
  const base = setting.startsWith(":") ? `//${url.hostname}${setting}/` : setting;
  const address = new URL(base, url);
  address.protocol = address.protocol.replace("http", "ws");
  address.hash = "";
  return address.href;
}

/**
 * Connect to the bridge, and reconnect until `close` is called.
 *
 * `history` is the number of messages of each channel to ask for at first; after a lost
 * connection, all messages since the last one are asked for. Three functions are called:
 * `on.message(message, isNew)` for each message that can be shown, where `isNew` is false for those that may
 * have been published before we connected; `on.state(name, delay)` with connecting, live,
 * degraded, waiting (`delay` in ms) or unauthorized; and `on.lost(text)` when messages are
 * lost for good.
 */
export function openStream(address, token, history, on) {
  const last = {};
  let socket, pingTimer, retryTimer;
  let failures = 0;
  let unreadable = 0; // messages of other programs, or with numbers that make no sense
  let upstream = "up"; // whether the bridge has Redis
  let refused = false;
  let since = Infinity; // performance.now() when we last were behind

  function connect() {
    clearTimeout(retryTimer);
    on.state("connecting");
    socket = new WebSocket(address);
    socket.onopen = opened;
    socket.onmessage = received;
    socket.onclose = closed;
  }

  function opened() {
    upstream = "up"; // otherwise the bridge's first frame says so
    if (token) send({ type: "auth", token });
    for (const [channel, count] of Object.entries(history)) {
      const from = channel in last ? { since: last[channel] } : { history: count };
      send({ type: "subscribe", channel, ...from });
    }
    pingTimer = setTimeout(ping, PING_EVERY);
  }

  function ping() {
    send({ type: "ping" });
    const current = socket;
    pingTimer = setTimeout(() => {
      abandon(current);
      closed({ code: 1006 });
    }, PING_TIMEOUT);
  }

  function received(event) {
    clearTimeout(pingTimer);
    pingTimer = setTimeout(ping, PING_EVERY);
    let message;
    try {
      message = JSON.parse(event.data);
    } catch {
      return; // other programs may publish anything
    }
    const channel = CHANNEL_OF[message?.type];
    if (channel) {
      if (typeof message.id === "string") last[channel] = message.id;
      if (!isReadable(message)) {
        console.info("a message that cannot be shown", ++unreadable, message);
        return;
      }
      on.message(message, performance.now() - since > CATCHING_UP);
      return;
    }
    switch (message?.type) {
      case "subscribed":
        failures = 0;
        since = performance.now();
        reportState();
        break;
      case "status":
        upstream = message.upstream;
        since = performance.now();
        reportState();
        break;
      case "gap":
        on.lost("Some decisions were missed: the history no longer contains them.");
        break;
      case "dropped":
        on.lost(`This page was too slow: ${message.count} messages were left out.`);
        break;
      case "error":
        refused = message.code === "unauthorized";
        if (!refused) on.lost(`Error from the bridge: ${message.message}`);
    }
  }

  function reportState() {
    on.state(upstream === "up" ? "live" : "degraded");
  }

  function closed(event) {
    clearTimeout(pingTimer);
    if (refused || (event.code === 1008 && !token)) {
      on.state("unauthorized");
      return;
    }
    const longest = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** failures++);
    const delay = longest * (0.5 + Math.random() / 2);
    retryTimer = setTimeout(connect, delay);
    on.state("waiting", delay);
  }

  function abandon(old) {
    old.onopen = old.onmessage = old.onclose = null;
    old.close();
  }

  function send(frame) {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame));
  }

  function stop() {
    clearTimeout(pingTimer);
    clearTimeout(retryTimer);
    abandon(socket);
  }

  function reconnect() {
    failures = 0;
    refused = false;
    stop();
    connect();
  }

  addEventListener("online", reconnect);
  connect();
  return {
    reconnect,
    authorize(value) {
      token = value;
      reconnect();
    },
    close() {
      removeEventListener("online", reconnect);
      stop();
    },
  };
}
