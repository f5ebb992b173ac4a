#!/usr/bin/env python3
"""Small MCP stdio servers, each odd in one way: odd.py MODE [LOG]. Standard library only.

LOG gets every message as it came in, one a line, between {"start": PID} and {"eof": PID}.
A mode is a class below; its name with dashes is the name of the mode.
"""
import json, os, re, sys, threading, time

MODERN = "2026-07-28"
META = "io.modelcontextprotocol/"


class Server:
    """A well-behaved server of the legacy era, with the tool echo."""
    version = "2025-11-25"
    tools = ["echo"]

    def __init__(self, log):
        self.lock, self.log = threading.Lock(), log and open(log, "a", buffering=1)
        self.received = []

    def note(self, event):
        if self.log:
            self.log.write(json.dumps(event) + "\n")

    def run(self):
        self.note({"start": os.getpid()})
        for line in sys.stdin.buffer:
            message = json.loads(line)
            self.note(message)
            self.received.append(message)
            if "method" in message and "id" in message:
                method = re.sub(r"\W", "_", message["method"])
                answer = getattr(self, "on_" + method, self.on_unknown)
                answer(message["id"], message.get("params") or {})
        self.note({"eof": os.getpid()})

    def write(self, text):
        with self.lock:
            sys.stdout.buffer.write(text.encode() + b"\n")
            sys.stdout.buffer.flush()

    def send(self, message):
        self.write(json.dumps(message))

    def notify(self, method, params=None):
        self.send({"jsonrpc": "2.0", "method": method, "params": params or {}})

    def result(self, id, result):
        self.send({"jsonrpc": "2.0", "id": id, "result": result})

    def refuse(self, id, code, message, **data):
        self.send({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message, "data": data}})

    def text(self, id, text):
        self.result(id, {"content": [{"type": "text", "text": text}]})

    def described(self, names):
        return [{"name": name, "inputSchema": {"type": "object"}} for name in names]

    def on_unknown(self, id, params):
        self.refuse(id, -32601, "Method not found")

    def on_initialize(self, id, params):
        self.result(id, {"protocolVersion": self.version, "serverInfo": {"name": "odd", "version": "1"},
                         "capabilities": {"tools": {"listChanged": True}}})

    def on_tools_list(self, id, params):
        self.result(id, {"tools": self.described(self.tools)})

    def on_tools_call(self, id, params):
        self.text(id, str((params.get("arguments") or {}).get("text", "")))


class AsksUnasked(Server):
    """Has a person asked for a name while its tools are listed."""
    def on_tools_list(self, id, params):
        form = {"type": "object", "properties": {"name": {"type": "string"}}}
        self.send({"jsonrpc": "2.0", "id": "who", "method": "elicitation/create",
                   "params": {"message": "who-is-there?", "requestedSchema": form}})
        super().on_tools_list(id, params)


class DiscoverExits(Server):
    """Reads server/discover, and dies of it."""
    def on_server_discover(self, id, params):
        os._exit(3)


class ClosesAtProbe(Server):
    """Closes its stdout at server/discover, and then waits for the end of its stdin."""
    def on_server_discover(self, id, params):
        os.close(1)


class CounterOffer(Server):
    """Offers a revision that nobody speaks."""
    version = "1999-01-01"


class FutureOnly(Server):
    """Speaks one revision, which is newer than ours, and no initialize."""
    def on_server_discover(self, id, params):
        self.refuse(id, -32022, "Unsupported protocol version", supported=["2031-01-01"], requested=MODERN)

    on_initialize = Server.on_unknown


class Deaf(Server):
    """Stops reading once it has listed its tools."""
    def on_tools_list(self, id, params):
        super().on_tools_list(id, params)
        while True:
            time.sleep(3600)


class Modern(Server):
    """Speaks 2026-07-28 only, and refuses a request without its _meta."""
    tools = ["echo", "grow", "ask", "received"]
    listener = None

    def result(self, id, result):
        super().result(id, {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", **result})

    def refuses(self, id, params):
        meta = params.get("_meta") or {}
        wanted = meta.get(META + "protocolVersion") == MODERN and META + "clientCapabilities" in meta
        if not wanted:
            self.refuse(id, -32602, "Invalid params: no _meta")
        return not wanted

    def on_server_discover(self, id, params):
        if not self.refuses(id, params):
            self.result(id, {"supportedVersions": [MODERN], "capabilities": {"tools": {"listChanged": True}}})

    on_initialize = Server.on_unknown

    def on_tools_list(self, id, params):
        if not self.refuses(id, params):
            super().on_tools_list(id, params)

    def on_subscriptions_listen(self, id, params):
        if not self.refuses(id, params):
            self.listener, granted = id, params["notifications"]
            self.tell("notifications/subscriptions/acknowledged", notifications=granted)

    def tell(self, method, **params):
        if self.listener is not None:
            self.notify(method, {"_meta": {META + "subscriptionId": self.listener}, **params})

    def on_tools_call(self, id, params):
        if self.refuses(id, params):
            return
        if params["name"] == "grow":
            self.tools = self.tools + ["grown_%d" % len(self.tools)]
            self.tell("notifications/tools/list_changed")
        if params["name"] == "ask":
            self.send({"jsonrpc": "2.0", "id": "q-1", "method": "ping"})
        if params["name"] == "received":
            return self.text(id, json.dumps(self.received))
        super().on_tools_call(id, params)


class LateModern(Modern):
    """Answers server/discover only after it has refused initialize."""
    probe = None

    def on_server_discover(self, id, params):
        self.probe = id, params

    def on_initialize(self, id, params):
        self.on_unknown(id, params)
        super().on_server_discover(*self.probe)


class BothAtOnce(Modern):
    """Answers initialize and server/discover in one breath, the wrong way round, once it has both."""
    def on_server_discover(self, id, params):
        self.probe = id

    def on_initialize(self, id, params):
        answers = [(id, {"protocolVersion": Server.version, "capabilities": {}, "serverInfo": {"name": "odd", "version": "1"}}),
                   (self.probe, {"supportedVersions": [MODERN], "capabilities": {"tools": {}}, "resultType": "complete"})]
        self.write("\n".join(json.dumps({"jsonrpc": "2.0", "id": id, "result": result}) for id, result in answers))


class LateDiscover(Server):
    """Answers server/discover as a modern server, long after initialize was agreed on."""
    probe = None

    def on_server_discover(self, id, params):
        self.probe = id

    def on_tools_call(self, id, params):
        self.result(self.probe, {"supportedVersions": [MODERN], "capabilities": {}, "resultType": "complete"})
        super().on_tools_call(id, params)


class Batch(Server):
    """Speaks 2025-03-26, holds the answer to `hold` back, and sends both with a ping and a log message at once."""
    version, tools, held = "2025-03-26", ["hold", "release"], []

    def on_tools_call(self, id, params):
        self.held = self.held + [{"jsonrpc": "2.0", "id": id,
                                  "result": {"content": [{"type": "text", "text": params["name"]}]}}]
        if params["name"] == "release":
            self.send([{"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}},
                       {"jsonrpc": "2.0", "id": "q-1", "method": "ping"}] + self.held)


class Malformed(Server):
    """Breaks off in the middle of an answer, unless it is asked for a whole one."""
    def on_tools_call(self, id, params):
        if (params.get("arguments") or {}).get("text"):
            return super().on_tools_call(id, params)
        self.write('{"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"te' % id)


class EmptyCursor(Server):
    """Has two pages; the cursor of the second is the empty string."""
    def on_tools_list(self, id, params):
        if "cursor" not in params:
            return self.result(id, {"tools": self.described(["first"]), "nextCursor": ""})
        assert params["cursor"] == ""
        self.result(id, {"tools": self.described(["second"])})


class EmptyLoop(Server):
    """Gives the empty string as the next cursor for ever."""
    def on_tools_list(self, id, params):
        name = "page_%d" % sum(m.get("method") == "tools/list" for m in self.received)
        self.result(id, {"tools": self.described([name]), "nextCursor": ""})


class BadSecondPage(Server):
    """Refuses its second page."""
    def on_tools_list(self, id, params):
        if "cursor" in params:
            return self.refuse(id, -32602, "Invalid cursor")
        self.result(id, {"tools": self.described(["first"]), "nextCursor": "2"})


class Fields(Server):
    """Lists one tool with every kind of field, written in its own way."""
    TOOL = ('{ "inputSchema" : {"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object",'
            '"properties":{"x":{"$ref":"#/$defs/x"}},"$defs":{"x":{"type":"number","maximum":1.0e2}}} ,'
            '"icons":[{"src":"data:image/png;base64,AA==","sizes":["any"]}], "name":"f\\u00fcnf" ,'
            '"title":"\\ud83c\\udf89", "_meta":{"com.example/deep":[[[{"a":null}]]]},'
            '"execution":{"taskSupport":"optional"},"annotations":{"readOnlyHint":true,"x":1},"future":{"z":0.10} }')

    def on_tools_list(self, id, params):
        self.write('{"jsonrpc":"2.0","id":%d,"result":{"tools":[%s]}}' % (id, self.TOOL))

    def on_tools_call(self, id, params):
        self.text(id, params["name"])


class Growing(Server):
    """Gets a tool with every call of grow, says so fifty times, and once more while it is asked for the list."""
    tools, lists, listing, overlaps = ["grow", "lists"], 0, 0, 0

    def on_tools_list(self, id, params):
        self.lists += 1
        self.overlaps += self.listing > 0
        if self.lists == 1:
            return super().on_tools_list(id, params)
        self.listing += 1
        if self.lists == 2:
            self.notify("notifications/tools/list_changed")
        threading.Thread(target=self.list_slowly, args=(id, params)).start()

    def list_slowly(self, id, params):
        time.sleep(0.3)
        self.listing -= 1
        super().on_tools_list(id, params)

    def on_tools_call(self, id, params):
        if params["name"] == "lists":
            return self.text(id, json.dumps({"lists": self.lists, "overlaps": self.overlaps}))
        self.tools = self.tools + ["grown_%d" % len(self.tools)]
        for _ in range(50):
            self.notify("notifications/tools/list_changed")
        self.text(id, "grown")


class RefreshFails(Server):
    """Says that its list changed with every call, and cannot give it a second time."""
    lists = 0

    def on_tools_list(self, id, params):
        self.lists += 1
        if self.lists > 1:
            return self.refuse(id, -32603, "the database is away")
        super().on_tools_list(id, params)

    def on_tools_call(self, id, params):
        self.notify("notifications/tools/list_changed")
        super().on_tools_call(id, params)


def main():
    name = "".join(part.capitalize() for part in sys.argv[1].split("-"))
    globals()[name](sys.argv[2] if len(sys.argv) > 2 else None).run()


if __name__ == "__main__":
    main()
