#!/usr/bin/env python3
"""A small MCP server over stdio with one fault: what goes wrong, and when.

  fault.py [--fault FAULT --when WHEN] [--armed FILE]

FAULT: exit0, exit1, sigkill, close-stdout, close-stdin, hang, garbage, huge-line (8 MiB)
WHEN:  handshake  at the first request
       idle       at SIGUSR1
       call       at a call of the tool `fault`
       closing    at the end of stdin

With --armed the fault happens only while FILE exists. Each fault is told on stderr. Tools: `echo`;
`hold`, which is answered only after a fault that the server survives; `held`, the number of calls
on hold; `fault`.
"""
import argparse
import json
import os
import signal
import sys
import time

HUGE = 8 << 20
TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("echo", "hold", "held", "fault")]


def tell(text):
    os.write(2, text.encode() + b"\n")


def put(data):
    try:
        while data:
            data = data[os.write(1, data):]
    except OSError:
        os._exit(0)


def rest():
    while True:
        time.sleep(3600)


def send(message_id, result):
    put(json.dumps({"jsonrpc": "2.0", "id": message_id, "result": result}).encode() + b"\n")


def send_text(message_id, text):
    send(message_id, {"content": [{"type": "text", "text": text}]})


def strike(fault):
    tell("fault: " + fault)
    if fault == "exit0":
        os._exit(0)
    elif fault == "exit1":
        os._exit(1)
    elif fault == "sigkill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault == "hang":
        rest()
    elif fault == "garbage":
        put(b"\x00\xff {\"jsonrpc\": oops\n")
    elif fault == "huge-line":
        put(b"x" * HUGE + b"\n")
    else:
        os.close(0 if fault == "close-stdin" else 1)
        tell("closed")
        rest()


class Server:
    def __init__(self, args):
        self.args, self.held, self.met = args, [], False
        signal.signal(signal.SIGUSR1, lambda *_: self.strike_at("idle"))

    def strike_at(self, when):
        armed = self.args.armed is None or os.path.exists(self.args.armed)
        if self.args.fault and when == self.args.when and armed:
            strike(self.args.fault)

    def run(self):
        tell("fault.py is up")
        for line in sys.stdin.buffer:
            message = json.loads(line)
            if "id" in message and "method" in message:
                if not self.met:
                    self.met = True
                    self.strike_at("handshake")
                self.answer(message["id"], message["method"], message.get("params") or {})
        self.strike_at("closing")

    def answer(self, message_id, method, params):
        if method == "initialize":
            send(message_id, {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                              "serverInfo": {"name": "fault", "version": "1"}})
        elif method == "tools/list":
            send(message_id, {"tools": TOOLS})
        elif method == "tools/call":
            self.call(message_id, params["name"], params.get("arguments") or {})
        else:
            error = {"code": -32601, "message": "Method not found: " + method}
            put(json.dumps({"jsonrpc": "2.0", "id": message_id, "error": error}).encode() + b"\n")

    def call(self, message_id, name, arguments):
        if name == "hold":
            self.held.append(message_id)
        elif name == "held":
            send_text(message_id, str(len(self.held)))
        elif name == "fault":
            self.strike_at("call")
            for held in self.held + [message_id]:
                send_text(held, "survived")
            self.held.clear()
        else:
            send_text(message_id, str(arguments.get("text", "")))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fault")
    parser.add_argument("--when")
    parser.add_argument("--armed")
    Server(parser.parse_args()).run()


if __name__ == "__main__":
    main()
