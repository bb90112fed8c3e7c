"""Names and forms of what is stored in Redis, and the script that stores it.

Beside each channel ``C``, a stream ``{C}:history`` holds the last messages, and beside
``agent:status`` a hash ``{agent:status}:latest`` holds the last message of each agent. The
braces put channel and keys on one node of a Redis Cluster.

One script publishes and stores a batch of messages. Redis runs a script as a whole, so that
subscribers and readers of the history see one order, however many publish. The stream's entry
id (ordered by time, unique in its channel) is the message's ``id``. Subscribers get the message
with its id; the stream holds the message without, in field ``m``, and :func:`with_id` adds it,
byte for byte as subscribers got it.
"""

FIELD = b"m"
"""Field of a stream entry that holds the message."""

PUBLISH = """\
-- KEYS: history, number of the publisher's last batch, [latest message by agent]
-- ARGV: channel, PUBLISH or SPUBLISH, history's length, this batch's number, number of
--       the last batch the publisher knows to have arrived, count, messages, [agent ids]
local call, sub, argv, history, latest = redis.call, string.sub, ARGV, KEYS[1], KEYS[3]
local channel, publish, batch, count = argv[1], argv[2], tonumber(argv[4]), tonumber(argv[6])
local last = math.max(tonumber(call('GET', KEYS[2]) or 0), tonumber(argv[5]))
if batch <= last then return 0 end
if batch > last + 1 then return redis.error_reply('BATCHORDER a batch before this one failed') end
if latest then call('HSET', latest, argv[7 + count], '') end -- fails here, or not at all
for i = 7, 6 + count do
  local message = argv[i]
  local id = call('XADD', history, '*', 'm', message)
  message = sub(message, 1, -2) .. ',"id":"' .. id .. '"}'
  call(publish, channel, message)
  if latest then call('HSET', latest, argv[i + count], message) end
end
call('XTRIM', history, 'MAXLEN', '=', argv[3])
call('SET', KEYS[2], batch, 'EX', 86400)
return count
"""
"""Lua script that publishes and stores one batch, once.

A publisher numbers its batches from 1. A batch that is sent again, because its reply was lost,
has a known number and is answered with 0; one that arrives before a failed batch is refused, so
that the order holds. Where writing fails (memory full, read-only, a key of another type), it
fails before anything is published. Trimming once for each batch is a quarter faster than in each
XADD.
"""


def history_key(channel: str) -> str:
    """Key of the stream with the last messages of a channel.

    >>> history_key("task:routing")
    '{task:routing}:history'
    """
    return f"{{{channel}}}:history"


def latest_key(channel: str) -> str:
    """Key of the hash with the last message of each agent, ids included."""
    return f"{{{channel}}}:latest"


def publisher_key(channel: str, publisher: str) -> str:
    """Key with the number of a publisher's last batch; expires after a day."""
    return f"{{{channel}}}:publisher:{publisher}"


def with_id(message: bytes, id: bytes) -> bytes:
    """The message as subscribers got it, with its id as the last top-level field.

    >>> with_id(b'{"type":"agent_status","payload":{}}', b"1699564800000-0")
    b'{"type":"agent_status","payload":{},"id":"1699564800000-0"}'
    """
    return b'%b,"id":"%b"}' % (message[:-1], id)
