"""A small MCP server over stdio whose pipe is cut where a file says: cutter.py PLAN COUNTER.

Starts fast: it knows no JSON. PLAN, if it is there, holds `request N` (it exits once it has read N
bytes of the next call), `answer N` (it runs the tool and exits once it has written N bytes of the
answer), or `deaf` (it reads nothing once it has listed its tools); it is removed when that is done.
COUNTER gets one byte each time a tool has been run. Tools: `act`, which is nothing in particular, and
`get`, which says that it is idempotent; both answer with the length of the request.
"""
import os
import select
import sys
import time

PLAN, COUNTER = sys.argv[1:3]
LIST = (b'{"tools":[{"name":"act","inputSchema":{"type":"object"}},'
        b'{"name":"get","inputSchema":{"type":"object"},"annotations":{"idempotentHint":true}}]}')
HELLO = (b'{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},'
         b'"serverInfo":{"name":"cutter","version":"1"}}')


def plan():
    try:
        with open(PLAN) as file:
            what, _, count = file.read().partition(" ")
            return what, int(count or 0)
    except FileNotFoundError:
        return None, 0


def cut():
    os.unlink(PLAN)
    os._exit(3)


def write(data):
    while data:
        data = data[os.write(1, data):]


def read_line(limit):
    """The next line, or what there is of it after so many bytes."""
    line = b""
    while not line.endswith(b"\n") and (limit is None or len(line) < limit):
        # One byte at a time: what is not read stays in the pipe.
        byte = os.read(0, 1)
        if not byte:
            os._exit(0)
        line += byte
    return line


def field(line, name, end):
    start = line.index(name) + len(name)
    return line[start:line.index(end, start)]


def call(number, length):
    with open(COUNTER, "ab") as file:
        file.write(b"x")
    answer = b'{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"%d"}]}}\n' % (number, length)
    what, count = plan()
    if what == "answer":
        write(answer[:count])
        cut()
    write(answer)


def serve():
    listed = False
    while True:
        select.select([0], [], [])
        what, count = plan()
        limit = count if listed and what == "request" else None
        line = read_line(limit)
        if limit is not None and len(line) >= limit:
            if line.endswith(b"\n"):
                with open(COUNTER, "ab") as file:
                    file.write(b"x")
            cut()
        if b'"id":' not in line:
            continue
        number, method = field(line, b'"id":', b","), field(line, b'"method":"', b'"')
        if method == b"initialize":
            write(b'{"jsonrpc":"2.0","id":%s,"result":%s}\n' % (number, HELLO))
        elif method == b"tools/list":
            write(b'{"jsonrpc":"2.0","id":%s,"result":%s}\n' % (number, LIST))
            listed = True
            while plan()[0] == "deaf":
                time.sleep(0.01)
        elif method == b"tools/call":
            call(number, len(line))
        else:
            error = b'{"code":-32601,"message":"Method not found"}'
            write(b'{"jsonrpc":"2.0","id":%s,"error":%s}\n' % (number, error))


serve()
