#!/usr/bin/env python3
"""A server of either era that asks for things, makes tasks, and tells of changes; over stdio.

  both.py modern|legacy LOG

Writes every message it gets to LOG, one JSON line each. Tools:
`ask` (a form, with a state), `state` (a state alone), `endless` (asks for ever), `sample`, `task`
(a task that asks once, polled each `interval` ms, and with `dies` ends the
process when it is answered first), `slow` (a task that never ends), `touch` (tells that note://a has changed),
`lists` (tells that the lists have changed), `drop` (ends the subscription, or the process where there
is none), `shout` (logs), `refuse` (is refused), `ping`. In the older era `ask` asks by a request,
`forget` takes it back, `visit` asks for a visit of what is no page, `count` reports progress, and `sign` does
so once a page was visited.
"""
import json
import os
import sys
import threading
import time

era, path = sys.argv[1], sys.argv[2]
modern = era == "modern"
lock = threading.Lock()
log = open(path, "a", buffering=1)
listening, reads, tasks, waiting, signed = {}, 0, {}, {}, False
TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "baggage": "k=v"}
FORM = {"message": "who", "_meta": TRACE, "requestedSchema": {"type": "object", "properties": {
    "name": {"type": "string", "default": "nobody"}, "age": {"type": "integer"}}}}
STATE = "a\\u0041\\/\\ud83d\\ude00 \\\"x\\\""


def send(message):
    with lock:
        sys.stdout.write(message if isinstance(message, str) else json.dumps(message))
        sys.stdout.write("\n")
        sys.stdout.flush()


def tell(method, **params):
    send({"jsonrpc": "2.0", "method": method, "params": params})


def result(id, **members):
    if modern:
        members = {"resultType": "complete", **members}
    send({"jsonrpc": "2.0", "id": id, "result": members})


def text(id, said):
    result(id, content=[{"type": "text", "text": said}])


def error(id, code, message, data=None):
    more = {"data": data} if data else {}
    send({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message, **more}})


def ask(id, state, requests=None):
    # The state is written as it is to come back: escapes and all.
    asked = f',"inputRequests":{json.dumps(requests)}' if requests else ""
    state = f',"requestState":"{state}"' if state else ""
    send(f'{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"input_required"{asked}{state}}}}}')


def form(key="form"):
    return {key: {"method": "elicitation/create", "params": FORM}}


def changed(uri):
    if not modern:
        return tell("notifications/resources/updated", uri=uri)
    for id in listening:
        tell("notifications/resources/updated", uri=uri,
             _meta={"io.modelcontextprotocol/subscriptionId": str(id)})


def call(id, params):
    global signed
    tool, answers = params["name"], params.get("inputResponses")
    if tool == "ask" and modern:
        if not answers:
            return ask(id, STATE, {**form("one"), "two": {"method": "roots/list"}})
        text(id, json.dumps([answers, params["requestState"]], sort_keys=True))
    elif tool == "ask":
        waiting["q-1"] = id
        send({"jsonrpc": "2.0", "id": "q-1", "method": "elicitation/create", "params": FORM})
    elif tool == "visit":
        waiting["v-1"] = id
        send({"jsonrpc": "2.0", "id": "v-1", "method": "elicitation/create", "params": {
            "mode": "url", "message": "look", "elicitationId": "v", "url": "javascript:alert(1)"}})
    elif tool == "refuse":
        error(id, -32050, "no")
    elif tool == "forget":
        tell("notifications/cancelled", requestId="q-1", reason="changed my mind")
        text(waiting.pop("q-1"), "forgotten")
        text(id, "ok")
    elif tool == "state":
        seen = params.get("requestState", "")
        text(id, seen) if len(seen) > 2 else ask(id, seen + "x")
    elif tool == "endless":
        ask(id, "s", form())
    elif tool == "sample":
        request = {"messages": [{"role": "user", "content": {"type": "text", "text": "hm"}}],
                   "maxTokens": 5}
        if params.get("arguments", {}).get("tools"):
            request["tools"] = [{"name": "weigh", "inputSchema": {"type": "object"}}]
            request["toolChoice"] = {"mode": "auto"}
        if not modern:
            waiting["s-1"] = id
            return send({"jsonrpc": "2.0", "id": "s-1", "method": "sampling/createMessage",
                         "params": request})
        if not answers:
            return ask(id, "", {"s": {"method": "sampling/createMessage", "params": request}})
        text(id, json.dumps(answers))
    elif tool in ("task", "slow"):
        interval = params.get("arguments", {}).get("interval", 20)
        tasks[f"t-{id}"] = {"kind": tool, "status": "working", "polls": 0, "interval": interval,
                            "dies": params.get("arguments", {}).get("dies", False)}
        save()
        send({"jsonrpc": "2.0", "id": id, "result": {"resultType": "task", **state(f"t-{id}")}})
    elif tool == "touch":
        changed("note://a")
        changed("note://b")
        text(id, "ok")
    elif tool == "lists":
        for family in ("resources", "prompts"):
            tell(f"notifications/{family}/list_changed")
        text(id, "ok")
    elif tool == "drop":
        if not modern:
            sys.exit(1)
        text(id, "ok")
        for one in list(listening):
            listening.pop(one)
            result(one, _meta={"io.modelcontextprotocol/subscriptionId": str(one)})
    elif tool == "shout":
        tell("notifications/message", level="error", logger="x", data={"n": 1})
        text(id, "ok")
    elif tool == "sign" and not signed:
        signed = True
        url = {"mode": "url", "message": "sign", "elicitationId": "s", "url": "https://example.com/"}
        error(id, -32042, "sign first", {"elicitations": [url]})
    elif tool in ("count", "sign"):
        token = params["_meta"]["progressToken"]
        for step in range(1, 4):
            tell("notifications/progress", progressToken=token, progress=step, total=3,
                 message=f"step {step}")
        text(id, "counted")
    elif tool == "exit":
        sys.exit(3)
    elif tool == "ping":
        send({"jsonrpc": "2.0", "id": 1, "method": "ping"})
        text(id, "ok")


def save():
    """Tasks outlive the process."""
    with open(path + ".tasks", "w") as file:
        json.dump(tasks, file)


def state(id):
    task = tasks[id]
    return {"taskId": id, "status": task["status"], "createdAt": "2026-01-01T00:00:00Z",
            "lastUpdatedAt": "2026-01-01T00:00:00Z", "ttlMs": None, "pollIntervalMs": task["interval"],
            **task.get("more", {})}


def poll(id, params):
    if params["taskId"] not in tasks:
        return error(id, -32602, "no such task")
    task = tasks[params["taskId"]]
    task["polls"] += 1
    if task["kind"] == "task" and task["status"] == "working" and "answers" not in task and task["polls"] > 1:
        task["status"], task["more"] = "input_required", {"inputRequests": form("k")}
    elif task["kind"] == "task" and "answers" in task and task["status"] == "working":
        said = {"content": [{"type": "text", "text": json.dumps(task["answers"])}]}
        task["status"], task["more"] = "completed", {"result": said}
    save()
    result(id, **state(params["taskId"]))


def handle(message):
    global reads
    id, method, params = message.get("id"), message.get("method"), message.get("params") or {}
    capabilities = {"tools": {}, "resources": {"subscribe": True, "listChanged": True},
                    "prompts": {"listChanged": True}, "logging": {},
                    "extensions": {"io.modelcontextprotocol/tasks": {}}}
    if method is None:
        call_id = waiting.pop(id, None)
        if call_id is not None:
            text(call_id, json.dumps(message.get("result", message.get("error")), sort_keys=True))
    elif id is None:
        if method == "notifications/cancelled":
            listening.pop(params.get("requestId"), None)
    elif method == "server/discover" and modern:
        result(id, supportedVersions=["2026-07-28"], capabilities=capabilities, instructions="read",
               serverInfo={"name": "both", "version": "1"})
    elif method == "initialize" and not modern:
        result(id, protocolVersion="2025-11-25", capabilities=capabilities,
               serverInfo={"name": "both", "version": "1"})
    elif method == "tools/list":
        names = ("ask forget state endless sample task slow touch lists drop shout count exit ping refuse visit sign")
        result(id, tools=[{"name": name, "inputSchema": {"type": "object"}} for name in names.split()])
    elif method == "tools/call":
        call(id, params)
    elif method == "resources/list":
        if "cursor" in params:
            return result(id, resources=[{"uri": "note://b", "name": "b"}], ttlMs=60000)
        result(id, resources=[{"uri": "note://a", "name": "a"}], nextCursor="", ttlMs=60000)
    elif method == "resources/read":
        reads += 1
        if params["uri"] == "note://ask" and "inputResponses" not in params:
            return ask(id, "", form())
        if params["uri"] == "note://none":
            return error(id, -32602 if modern else -32002, "no such resource")
        ttl = {"note://brief": 1, "note://ask": 60000}.get(params["uri"], 60000)
        result(id, contents=[{"uri": params["uri"], "text": f"read {reads}"}], ttlMs=ttl,
               cacheScope="private")
    elif method == "resources/templates/list":
        result(id, resourceTemplates=[{"uriTemplate": "note://{x}/more", "name": "more"}])
    elif method == "prompts/list":
        result(id, prompts=[{"name": "p"}], nextCursor="again")
    elif method == "prompts/get":
        if modern and "inputResponses" not in params:
            return ask(id, "", form())
        result(id, messages=[])
    elif method in ("resources/subscribe", "resources/unsubscribe", "logging/setLevel"):
        error(id, -32002, "no") if params.get("uri") == "note://none" else result(id)
    elif method == "subscriptions/listen":
        listening[id] = params
        wanted = dict(params["notifications"])
        wanted["resourceSubscriptions"] = [
            uri for uri in wanted.get("resourceSubscriptions", []) if uri != "note://none"]
        tell("notifications/subscriptions/acknowledged", notifications=wanted,
             _meta={"io.modelcontextprotocol/subscriptionId": str(id)})
    elif method == "tasks/get":
        poll(id, params)
    elif method == "tasks/update":
        task = tasks[params["taskId"]]
        if task.pop("dies", False):
            save()
            os._exit(3)
        task.update(status="working", more={}, answers=params["inputResponses"])
        save()
        result(id)
    elif method == "tasks/cancel":
        tasks[params["taskId"]]["status"] = "cancelled"
        save()
        result(id)
    else:
        error(id, -32601, "no such method")


try:
    with open(path + ".tasks") as file:
        tasks = json.load(file)
except OSError:
    pass
for line in sys.stdin:
    message = json.loads(line)
    log.write(line)
    handle(message)
