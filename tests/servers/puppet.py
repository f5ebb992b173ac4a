#!/usr/bin/env python3
"""A small MCP server over stdio that does what the arguments of a call say.

  puppet.py [--log FILE]

Tools: `say`, whose result is the text of its argument `result`, to the byte;
`progress`, which reports progress `times` times, every `ms` milliseconds, and then answers;
`wait`, which answers when the file that its argument `file` names exists.
--log appends what the client sent, one JSON object a line.
"""
import argparse
import json
import os
import sys
import threading
import time

TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("say", "progress", "wait")]
LOCK = threading.Lock()


def put(text):
    with LOCK:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def send(message_id, result):
    put('{"jsonrpc":"2.0","id":%s,"result":%s}' % (json.dumps(message_id), result))


def send_text(message_id, text):
    send(message_id, json.dumps({"content": [{"type": "text", "text": text}]}))


def call(message_id, params):
    name, arguments = params["name"], params.get("arguments") or {}
    if name == "say":
        send(message_id, arguments["result"])
    elif name == "progress":
        token = params["_meta"]["progressToken"]
        for step in range(arguments["times"]):
            time.sleep(arguments["ms"] / 1000)
            put(json.dumps({"jsonrpc": "2.0", "method": "notifications/progress",
                            "params": {"progressToken": token, "progress": step}}))
        send_text(message_id, "done")
    else:
        while not os.path.exists(arguments["file"]):
            time.sleep(0.005)
        send_text(message_id, "waited")


def answer(message_id, method, params):
    if method == "initialize":
        send(message_id, json.dumps({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                                     "serverInfo": {"name": "puppet", "version": "1"}}))
    elif method == "tools/list":
        send(message_id, json.dumps({"tools": TOOLS}))
    elif method == "tools/call":
        threading.Thread(target=call, args=(message_id, params), daemon=True).start()
    else:
        put(json.dumps({"jsonrpc": "2.0", "id": message_id,
                        "error": {"code": -32601, "message": "Method not found: " + method}}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--log")
    log = parser.parse_args().log
    for line in sys.stdin:
        if log:
            with open(log, "a") as file:
                file.write(line)
        message = json.loads(line)
        if "id" in message and "method" in message:
            answer(message["id"], message["method"], message.get("params") or {})
    os._exit(0)


if __name__ == "__main__":
    main()
