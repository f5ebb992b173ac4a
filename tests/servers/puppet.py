#!/usr/bin/env python3
"""A small MCP server over stdio that does what the arguments of a call say.

  puppet.py [--log FILE] [--list FILE]

Tools: `say`, whose result is the text of its argument `result`, to the byte;
`progress`, which reports progress `times` times, every `ms` milliseconds, and then answers; with
`as` "string" it turns the token into one;
`wait`, which answers when the file that its argument `file` names exists;
`spawn`, which starts a sleeper in a session of its own and answers its process id, from the main
thread, or with `worker` from one that lives on;
`flood`, which exits, and leaves `writers` processes that write to its stdout for ever, with `setsid`
each in a session of its own;
`leave`, which answers and exits at once;
`ask`, which asks `times` questions with ids of `size` bytes, and reads nothing meanwhile.
--log appends what the client sent, one JSON object a line.
--list answers tools/list with what FILE holds, to the byte.
"""
import argparse
import json
import os
import subprocess
import sys
import threading
import time

TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in
         ("say", "progress", "wait", "spawn", "flood", "leave", "ask")]
LOCK = threading.Lock()


def put(text):
    with LOCK:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def send(message_id, result):
    put('{"jsonrpc":"2.0","id":%s,"result":%s}' % (json.dumps(message_id), result))


def send_text(message_id, text):
    send(message_id, json.dumps({"content": [{"type": "text", "text": text}]}))


def spawn(message_id):
    null = subprocess.DEVNULL
    sleeper = subprocess.Popen(["sleep", "1000"], start_new_session=True, stdin=null, stdout=null, stderr=null)
    send_text(message_id, str(sleeper.pid))


def flood(arguments):
    line = '{"jsonrpc":"2.0","method":"x"}'
    for _ in range(arguments["writers"]):
        subprocess.Popen(["yes", line], start_new_session=arguments.get("setsid", False))
    os._exit(0)


def ask(message_id, arguments):
    for _ in range(arguments["times"]):
        put('{"jsonrpc":"2.0","method":"ping","id":"%s"}' % ("z" * arguments["size"]))
    send_text(message_id, "asked")


def call_at_once(message_id, name, arguments):
    """What has to be done by the main thread."""
    if name == "spawn":
        spawn(message_id)
    elif name == "flood":
        flood(arguments)
    elif name == "ask":
        ask(message_id, arguments)
    else:
        send_text(message_id, "bye")
        os._exit(0)


def call(message_id, params):
    name, arguments = params["name"], params.get("arguments") or {}
    if name == "say":
        send(message_id, arguments["result"])
    elif name == "progress":
        token = params["_meta"]["progressToken"]
        token = str(token) if arguments.get("as") == "string" else token
        for step in range(arguments["times"]):
            time.sleep(arguments["ms"] / 1000)
            put(json.dumps({"jsonrpc": "2.0", "method": "notifications/progress",
                            "params": {"progressToken": token, "progress": step}}))
        send_text(message_id, "done")
    elif name == "spawn":
        spawn(message_id)
        threading.Event().wait()
    else:
        while not os.path.exists(arguments["file"]):
            time.sleep(0.005)
        send_text(message_id, "waited")


def answer(message_id, method, params, listed):
    if method == "initialize":
        send(message_id, json.dumps({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                                     "serverInfo": {"name": "puppet", "version": "1"}}))
    elif method == "tools/list":
        send(message_id, listed)
    elif method == "tools/call":
        name, arguments = params["name"], params.get("arguments") or {}
        if name in ("flood", "leave", "ask") or name == "spawn" and not arguments.get("worker"):
            return call_at_once(message_id, name, arguments)
        threading.Thread(target=call, args=(message_id, params), daemon=True).start()
    else:
        put(json.dumps({"jsonrpc": "2.0", "id": message_id,
                        "error": {"code": -32601, "message": "Method not found: " + method}}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--log")
    parser.add_argument("--list")
    args = parser.parse_args()
    log, listed = args.log, json.dumps({"tools": TOOLS})
    if args.list:
        with open(args.list) as file:
            listed = file.read()
    for line in sys.stdin:
        if log:
            with open(log, "a") as file:
                file.write(line)
        message = json.loads(line)
        if "id" in message and "method" in message:
            answer(message["id"], message["method"], message.get("params") or {}, listed)
    os._exit(0)


if __name__ == "__main__":
    main()
