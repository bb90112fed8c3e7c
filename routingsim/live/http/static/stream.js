// The bridge's messages: connected, reconnected, resumed where they broke off.

const FIRST_DELAY = 500; // ms, doubled at each failure
const LONGEST_DELAY = 15_000;
const PING_EVERY = 15_000;
const SILENCE = 10_000; // after a ping, before the connection counts as dead
const CATCHING_UP = 2_000; // after which what comes is new

const CHANNEL_OF = {
  routing_decision: "task:routing",
  agent_status: "agent:status",
  replay_progress: "replay:progress",
};

/** Where the bridge is, from the setting: a URL, ":port" on the page's host, or a path. */
export function bridgeAddress(setting, page = document.baseURI) {
  const url = new URL(page);
  const base = setting.startsWith(":") ? `//${url.hostname}${setting}/` : setting;
  const address = new URL(base, url);
  address.protocol = address.protocol.replace("http", "ws");
  address.hash = "";
  return address.href;
}

/**
 * Keep a connection to the bridge.
 *
 * `history` says how many messages of each channel to ask for at first; after a break, all
 * since the last one seen. `on.message(message, isNew)` gets each, where `isNew` says that it
 * was not published earlier, while we were away; `on.state(name, detail)` one of
 * connecting, live, degraded, waiting (detail: ms), unauthorized; `on.lost(text)` what cannot
 * be had any more.
 */
export function openStream(address, token, history, on) {
  const last = {};
  let socket, pulse, retry;
  let failures = 0;
  let upstream = "up"; // whether the bridge has Redis
  let refused = false;
  let since = Infinity; // the page's time at which we were last behind

  function connect() {
    clearTimeout(retry);
    on.state("connecting");
    socket = new WebSocket(address);
    socket.onopen = opened;
    socket.onmessage = received;
    socket.onclose = closed;
  }

  function opened() {
    upstream = "up"; // if not, it says so before all else
    if (token) send({ type: "auth", token });
    for (const [channel, count] of Object.entries(history)) {
      const from = channel in last ? { since: last[channel] } : { history: count };
      send({ type: "subscribe", channel, ...from });
    }
    pulse = setTimeout(ping, PING_EVERY);
  }

  function ping() {
    send({ type: "ping" });
    const current = socket;
    pulse = setTimeout(() => {
      abandon(current);
      closed({ code: 1006 });
    }, SILENCE);
  }

  function received(event) {
    clearTimeout(pulse);
    pulse = setTimeout(ping, PING_EVERY);
    let message;
    try {
      message = JSON.parse(event.data);
    } catch {
      return; // anything may be published on a channel
    }
    const channel = CHANNEL_OF[message?.type];
    if (channel) {
      if (typeof message.id === "string") last[channel] = message.id;
      on.message(message, performance.now() - since > CATCHING_UP);
      return;
    }
    switch (message?.type) {
      case "subscribed":
        failures = 0;
        since = performance.now();
        tellState();
        break;
      case "status":
        upstream = message.upstream;
        since = performance.now();
        tellState();
        break;
      case "gap":
        on.lost("Some decisions were missed: the history no longer reaches back to them.");
        break;
      case "dropped":
        on.lost(`This page was too slow: ${message.count} messages were left out.`);
        break;
      case "error":
        refused = message.code === "unauthorized";
        if (!refused) on.lost(`The bridge says: ${message.message}`);
    }
  }

  function tellState() {
    on.state(upstream === "up" ? "live" : "degraded");
  }

  function closed(event) {
    clearTimeout(pulse);
    if (refused || (event.code === 1008 && !token)) {
      on.state("unauthorized");
      return;
    }
    const whole = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** failures++);
    const delay = whole * (0.5 + Math.random() / 2);
    on.state("waiting", delay);
    retry = setTimeout(connect, delay);
  }

  function abandon(old) {
    old.onopen = old.onmessage = old.onclose = null;
    old.close();
  }

  function send(frame) {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame));
  }

  function reconnect() {
    failures = 0;
    refused = false;
    clearTimeout(pulse);
    abandon(socket);
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
  };
}
