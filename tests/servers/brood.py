#!/usr/bin/env python3
"""An MCP server over stdio with a family that nobody gets rid of by asking.

  brood.py [--silent] [--polite]

Before it answers anything, it has started a child in its own group, a child in a session of its own,
and a daemon: forked twice, in a session of its own, with every descriptor closed, so that nothing but
what is inherited leads from it to its origin. All of them, and itself, ignore SIGTERM and the end of
stdin, and live for ever.

--silent answers nothing. --polite exits at the end of stdin, and leaves its family behind.
Its tool `hang` is never answered.
"""
import json
import os
import signal
import sys
import time


def live(descriptors_too):
    if descriptors_too:
        os.closerange(0, 256)
    while True:
        time.sleep(1000)


def child(prepare, descriptors_too=False):
    pid = os.fork()
    if pid == 0:
        prepare()
        live(descriptors_too)
    return pid


def daemon():
    told, tell = os.pipe()
    middle = os.fork()
    if middle == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(tell, b"x")
            live(True)
        os._exit(0)
    os.waitpid(middle, 0)
    os.read(told, 1)


def main():
    silent, polite = "--silent" in sys.argv, "--polite" in sys.argv
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    child(lambda: None)
    child(os.setsid, True)
    daemon()
    for line in sys.stdin:
        message = json.loads(line)
        method = message.get("method")
        answer = {"error": {"code": -32601, "message": "no such method"}}
        if method == "initialize":
            answer = {"result": {
                "protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "brood", "version": "1"}}}
        elif method == "tools/list":
            answer = {"result": {"tools": [{"name": "hang", "inputSchema": {"type": "object"}}]}}
        elif method == "tools/call" or "id" not in message:
            continue
        if not silent:
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}), flush=True)
    if not polite:
        live(False)


main()
