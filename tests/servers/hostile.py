#!/usr/bin/env python3
"""Hostile MCP stdio server: one file, stdlib only, newline-delimited JSON-RPC.

  hostile.py --mode NAME [--discover] [--delay S] [--count N] [--size BYTES]
                    [--state FILE] [--log FILE]
  hostile.py --list [--markdown]

Speaks the initialize handshake (2024-11-05 .. 2025-11-25). server/discover (2026-07-28) is answered
with -32601 unless --discover is given; then requests carrying the 2026-07-28 _meta are answered in
that revision's shape. --log appends one JSON object per event (start, recv, signal, eof, exit, sent)
so that a test can see what the client did to the server. --state keeps a start counter over restarts.
"""
import argparse, json, os, random, signal, subprocess, sys, threading, time

VERSIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]
MODERN = "2026-07-28"
META_VERSION = "io.modelcontextprotocol/protocolVersion"
CACHED = {"server/discover", "tools/list", "prompts/list", "resources/list",
          "resources/templates/list", "resources/read"}

# name: (what the server does, what a good client runtime must do)
MODES = {
    "normal": ("a well-behaved server with the tools echo, add, sleep, fail, big, inspect, crash, progress, spawn",
               "connect, list, call; on close: EOF on stdin, the server exits 0 by itself within a second, no signal needed"),
    # --- start and handshake
    "exit-at-start": ("prints a line on stderr and exits with code 7 before reading anything",
                      "fail the connect at once (not by timeout) with exit code and last stderr lines in the error; back off before restarting"),
    "fail-first": ("with --state: dies on the first --count starts (default 2), then works",
                   "restart with growing backoff and become ready on start count+1; report the number of restarts"),
    "flap": ("completes the handshake, dies --delay seconds later (default 1), on every start",
             "count restarts in a window and give up (circuit open) instead of restarting for ever; a successful handshake alone must not reset the backoff"),
    "no-init": ("reads everything, never answers initialize or server/discover",
                "time out the handshake, kill the process tree, report 'no answer to initialize'"),
    "slow-init": ("answers the first request only after --delay seconds (default 12; like npx on a cold cache)",
                  "keep waiting up to the configured start timeout; a late answer to server/discover must not break the fallback initialize"),
    "init-error": ("answers initialize with JSON-RPC error -32603",
                   "fail the connect with the server's error text; retry only with backoff"),
    "discover-empty": ("answers server/discover with an empty result {} and initialize normally",
                       "treat the malformed discover result as 'legacy server' and fall back to initialize"),
    "discover-silent": ("ignores server/discover without any answer, initialize works",
                        "probe with a short timeout, then fall back to initialize on the same process"),
    "no-stdin-read": ("never reads stdin (the pipe fills up)",
                      "writes must not block the runtime; time out and kill"),
    # --- framing and encoding
    "stdout-noise": ("prints banners, blank lines, ANSI colours and half-JSON on stdout between messages",
                     "skip (and log, rate-limited) lines that are not JSON-RPC; keep the connection"),
    "crlf-bom": ("UTF-8 BOM before the first message, CRLF line ends", "accept both"),
    "bad-utf8": ("tool results contain invalid UTF-8 bytes",
                 "fail that one call (or decode lossily); the connection and the other calls go on"),
    "slow-drip": ("writes every reply one byte per 2 ms", "assemble the line; the per-call timeout applies to the whole reply"),
    "huge-line": ("tools/call reply is one line of --size bytes (default 200 MB)",
                  "enforce a maximum message size without buffering it all; fail the call, drop or restart the connection, memory stays flat"),
    "endless-line": ("answers tools/call with an endless line that never gets a newline",
                     "the same limit; kill the server, memory stays flat"),
    "deep-json": ("result nested --count levels deep (default 100000)",
                  "parse error for that one call, never a stack overflow of the runtime"),
    # --- ids and correlation
    "wrong-id": ("answers tools/call with an id nobody asked for",
                 "ignore and log the stray reply, time out the call, keep the connection"),
    "string-id": ("answers with the id turned into a string", "accept it or report a protocol error at once; never hang silently"),
    "out-of-order": ("delays replies at random, so that they come out of order", "match by id; parallel calls must not block each other"),
    "wrong-shape": ("tools/list has tools without name, with inputSchema null, duplicate names, odd characters, icons of a wrong type",
                    "keep the valid tools and report the bad ones; one bad tool must not hide the whole server"),
    # --- volume
    "stderr-flood": ("writes --size bytes (default 100 MB) on stderr before every reply",
                     "drain stderr all the time into a bounded buffer; otherwise both sides block for ever"),
    "notif-flood": ("sends --count notifications (default 100000: log, progress, list_changed) before every tools/call reply",
                    "bounded queues, coalesce list_changed, no starvation of other servers, reply still delivered"),
    "many-tools": ("lists --count tools (default 10000) with large schemas in one page", "list them within seconds, or apply a limit and say so"),
    "cursor-loop": ("tools/list always returns the same nextCursor", "detect the repeated cursor (or a page limit) and stop; never loop for ever"),
    "cursor-endless": ("tools/list returns a new nextCursor each time without end, 100 tools a page", "stop at a page or tool limit"),
    # --- tool list and calls
    "list-changes": ("every tools/list differs (the tool 'rot' is renamed), list_changed is sent around each call; a call to an old name gives -32602",
                     "re-list with debounce, one refresh in flight, no loop; a call by a stale name gives a typed error"),
    "hang-call": ("never answers tools/call, ignores notifications/cancelled", "per-call timeout, send notifications/cancelled, keep the connection for other calls"),
    "late-reply": ("answers tools/call --delay seconds later (default 3) even when cancelled", "drop the late reply quietly; it must not answer another call"),
    "exit-after": ("exits with code 3 instead of answering tools/call number --count (default 3)",
                   "fail the pending calls at once with the exit status, restart, do not repeat a call that may have had effects"),
    "server-requests": ("during tools/call sends ping, roots/list, sampling, elicitation and an unknown request, with ids equal to the client's; waits for all replies",
                        "answer each one (unknown: -32601); keep both id spaces apart"),
    # --- shutdown and processes
    "ignore-term": ("ignores stdin EOF, SIGTERM, SIGINT and SIGHUP", "EOF, then SIGTERM, then SIGKILL within the configured time; reap it, no zombie"),
    "close-stdout": ("closes stdout after the first tools/call but lives", "treat EOF on stdout as a dead connection: kill, restart"),
    "grandchild": ("spawns a child that inherits stdout and stderr and lives 600 s; the server itself exits on EOF",
                   "do not wait for EOF of the pipes; kill the whole process group"),
    "grandchild-setsid": ("the same, but the grandchild calls setsid() and ignores SIGTERM",
                          "not wait for it; ideally a cgroup/subreaper kills it too, at least close the pipes and report it"),
    "memory-hog": ("allocates 20 MB more on every request (never frees)", "optional: RSS limit per server, restart with the reason 'memory'"),
    "cpu-spin": ("burns a core in a background thread while it answers normally", "other servers keep their latency; optional: report CPU per server"),
    "secret-stderr": ("prints its whole environment on stderr and the value of $TOKEN in an error message", "redact configured secrets in logs, errors and events"),
}


class Server:
    def __init__(self, args):
        self.a, self.mode = args, args.mode
        self.out, self.lock = sys.stdout.buffer, threading.Lock()
        self.calls = self.lists = self.seen = 0
        self.inited = False
        self.waiting, self.hog = {}, []
        self.starts = self.bump()
        self.logf = open(args.log, "a", buffering=1) if args.log else None

    # ---- helpers
    def bump(self):
        if not self.a.state:
            return 1
        n = 0
        try:
            n = int(open(self.a.state).read() or 0)
        except (OSError, ValueError):
            pass
        with open(self.a.state, "w") as f:
            f.write(str(n + 1))
        return n + 1

    def log(self, event, **kw):
        if self.logf:
            self.logf.write(json.dumps({"t": round(time.time(), 3), "pid": os.getpid(), "ev": event, **kw}) + "\n")

    def opt(self, name, default):
        v = getattr(self.a, name)
        return default if v is None else v

    def raw(self, data):
        with self.lock:
            try:
                if self.mode == "slow-drip":
                    for b in data:
                        self.out.write(bytes([b])); self.out.flush(); time.sleep(0.002)
                else:
                    self.out.write(data); self.out.flush()
            except (BrokenPipeError, ValueError, OSError) as e:
                self.log("write-failed", err=str(e))
                if self.mode != "ignore-term":
                    self.leave(0)

    def send(self, obj):
        m = self.mode
        body = json.dumps(obj, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
        if m == "stdout-noise":
            junk = random.choice([b"Server running on stdio\n", b"\n", b"\x1b[32minfo\x1b[0m: ready\n", b"{\"half\": \n",
                                  b"null\n", b"[]\n", b"{}\n", b"{\"level\":\"info\",\"msg\":\"json log line\"}\n",
                                  b"   \t \n", b"Warning: deprecated\r\n"])
            self.raw(junk)
        if m == "crlf-bom":
            bom = b"" if getattr(self, "bommed", False) else b"\xef\xbb\xbf"
            self.bommed = True
            return self.raw(bom + body + b"\r\n")
        self.raw(body + b"\n")

    def notify(self, method, params=None):
        self.send({"jsonrpc": "2.0", "method": method, "params": params or {}})

    def result(self, req, result, modern=False):
        rid = req["id"]
        if modern:
            result.setdefault("resultType", "complete")
            if req["method"] in CACHED:
                result.setdefault("ttlMs", 0)
                result.setdefault("cacheScope", "private")
        if self.mode == "string-id":
            rid = str(rid)
        if self.mode == "wrong-id" and req["method"] == "tools/call":
            rid = 10_000_000 + self.calls
        self.send({"jsonrpc": "2.0", "id": rid, "result": result})

    def error(self, req, code, msg, data=None):
        rid = str(req["id"]) if self.mode == "string-id" else req["id"]
        e = {"code": code, "message": msg}
        if data is not None:
            e["data"] = data
        self.send({"jsonrpc": "2.0", "id": rid, "error": e})

    def leave(self, code):
        self.log("exit", code=code)
        os._exit(code)

    def ask(self, rid, method, params, wait=5):
        """server -> client request; returns the reply or None"""
        ev = threading.Event()
        self.waiting[rid] = [ev, None]
        self.send({"jsonrpc": "2.0", "id": rid, "method": method, "params": params})
        ev.wait(wait)
        return self.waiting.pop(rid, [None, None])[1]

    # ---- life
    def signals(self):
        def on(sig, _):
            self.log("signal", sig=signal.Signals(sig).name)
            if self.mode == "ignore-term":
                return
            self.leave(128 + sig)
        for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(s, on)

    def run(self):
        m = self.mode
        self.log("start", mode=m, starts=self.starts, argv=sys.argv[1:])
        self.signals()
        if m == "exit-at-start":
            print("fatal: cannot find module 'left-pad' (hostile exit-at-start)", file=sys.stderr, flush=True)
            self.leave(7)
        if m == "fail-first" and self.starts <= self.opt("count", 2):
            print("not yet (start %d)" % self.starts, file=sys.stderr, flush=True)
            self.leave(1)
        if m == "no-stdin-read":
            while True:
                time.sleep(3600)
        if m == "stdout-noise":
            self.raw(b"Starting hostile server v1.0 ...\n> build ok\n")
        if m in ("grandchild", "grandchild-setsid"):
            code = "import time,signal;signal.signal(signal.SIGTERM,signal.SIG_IGN if %r else signal.SIG_DFL);time.sleep(600)" % (m != "grandchild")
            p = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.DEVNULL, start_new_session=(m == "grandchild-setsid"))
            self.log("grandchild", child=p.pid)
        if m == "cpu-spin":
            subprocess.Popen([sys.executable, "-c", "import os\np=os.getppid()\nwhile os.getppid()==p:\n  for _ in range(10**6): pass"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if m == "secret-stderr":
            for k, v in os.environ.items():
                print("env %s=%s" % (k, v), file=sys.stderr)
            sys.stderr.flush()
        stdin = sys.stdin.buffer
        while True:
            try:
                line = stdin.readline()
            except (OSError, ValueError):
                line = b""
            if not line:
                self.log("eof")
                if m == "ignore-term":
                    while True:
                        time.sleep(3600)
                self.leave(0)
            if not line.strip():
                continue
            try:
                msg = json.loads(line)
            except ValueError:
                self.log("bad-input", line=line[:200].decode("utf-8", "replace"))
                self.send({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "Parse error"}})
                continue
            for one in msg if isinstance(msg, list) else [msg]:
                self.log("recv", method=one.get("method"), id=one.get("id"), keys=sorted(one))
                try:
                    self.on_message(one)
                except Exception as e:  # keep the server alive: only the modes misbehave
                    self.log("bug", err=repr(e))
                    if "id" in one and "method" in one:
                        self.error(one, -32603, "internal: %r" % e)

    def on_message(self, msg):
        m = self.mode
        if "method" not in msg:  # reply to a server request
            w = self.waiting.get(msg.get("id"))
            if w:
                w[1] = msg
                w[0].set()
            return
        if m == "no-init":
            return
        method, params = msg["method"], msg.get("params") or {}
        if "id" not in msg:
            if method == "notifications/initialized":
                self.ready()
            return
        self.seen += 1
        if m == "memory-hog":
            self.hog.append(bytearray(os.urandom(1024) * 20 * 1024))
        if m == "slow-init" and self.seen == 1:
            time.sleep(self.opt("delay", 12))
        if m == "stderr-flood":
            left, chunk = self.opt("size", 100_000_000), (b"E" * 199 + b"\n") * 5000
            while left > 0:
                sys.stderr.buffer.write(chunk); left -= len(chunk)
            sys.stderr.buffer.flush()
        modern = self.a.discover and META_VERSION in (params.get("_meta") or {})
        if method == "server/discover":
            return self.on_discover(msg, params, modern)
        if method == "initialize":
            return self.on_initialize(msg, params)
        if method in ("ping", "logging/setLevel"):
            return self.result(msg, {})
        if method == "tools/list":
            return self.on_list(msg, params, modern)
        if method == "tools/call":
            self.calls += 1
            n = self.calls
            t = threading.Thread(target=self.guard, args=(msg, params, modern, n), daemon=True)
            return t.start()
        if method in ("resources/list", "prompts/list", "resources/templates/list"):
            key = {"resources/list": "resources", "prompts/list": "prompts"}.get(method, "resourceTemplates")
            return self.result(msg, {key: []}, modern)
        self.error(msg, -32601, "Method not found: %s" % method)

    def on_discover(self, msg, params, modern):
        m = self.mode
        if m == "discover-silent":
            return
        if m == "discover-empty":
            return self.result(msg, {})
        if not self.a.discover:
            return self.error(msg, -32601, "Method not found: server/discover")
        want = (params.get("_meta") or {}).get(META_VERSION)
        if want != MODERN:
            return self.error(msg, -32022, "Unsupported protocol version", {"supported": [MODERN], "requested": want})
        self.ready()
        self.result(msg, {"supportedVersions": [MODERN], "capabilities": self.caps(),
                          "serverInfo": self.info(), "instructions": "hostile server, mode " + m,
                          "_meta": {"io.modelcontextprotocol/serverInfo": self.info()}}, True)

    def on_initialize(self, msg, params):
        m = self.mode
        if m == "init-error":
            return self.error(msg, -32603, "hostile: initialize failed on purpose")
        v = params.get("protocolVersion")
        v = v if v in VERSIONS else VERSIONS[-1]
        self.result(msg, {"protocolVersion": v, "capabilities": self.caps(), "serverInfo": self.info(),
                          "instructions": "hostile server, mode " + m})

    def ready(self):
        if self.inited:
            return
        self.inited = True
        if self.mode == "flap":
            def die():
                time.sleep(self.opt("delay", 1))
                self.leave(9)
            threading.Thread(target=die, daemon=True).start()

    def info(self):
        return {"name": "hostile-" + self.mode, "version": "1.0.0"}

    def caps(self):
        return {"tools": {"listChanged": True}, "logging": {}}

    # ---- tools
    def base_tools(self):
        def t(name, desc, props=None, req=None, **kw):
            return {"name": name, "description": desc,
                    "inputSchema": {"type": "object", "properties": props or {}, "required": req or []}, **kw}
        n, s = {"type": "number"}, {"type": "string"}
        return [
            t("echo", "returns its text", {"text": s}, ["text"]),
            t("add", "adds a and b", {"a": n, "b": n}, ["a", "b"],
              outputSchema={"type": "object", "properties": {"sum": n}, "required": ["sum"]}),
            t("sleep", "answers after ms milliseconds", {"ms": n}, ["ms"]),
            t("fail", "returns isError"), t("rpcerror", "returns a JSON-RPC error"),
            t("big", "returns size bytes of text", {"size": n}, ["size"]),
            t("inspect", "pid, cwd, env names, open fds, pgid, sid, nice, starts"),
            t("progress", "sends n progress notifications", {"n": n}, ["n"]),
            t("crash", "kills the server with SIGKILL"), t("exit", "exits with the given code", {"code": n}, ["code"]),
            t("spawn", "starts a background child that lives 600 s"),
        ]

    def on_list(self, msg, params, modern):
        m = self.mode
        self.lists += 1
        tools, extra = self.base_tools(), {}
        if m == "many-tools":
            schema = {"type": "object", "properties": {"p%02d" % i: {"type": "string", "description": "x" * 60} for i in range(10)}}
            tools = tools + [{"name": "tool_%05d" % i, "description": "tool number %d " % i + "y" * 100, "inputSchema": schema}
                             for i in range(self.opt("count", 10000))]
        elif m == "cursor-loop":
            extra = {"nextCursor": "again"}
        elif m == "cursor-endless":
            k = int((params.get("cursor") or "0"))
            tools = [{"name": "t_%d_%d" % (k, i), "inputSchema": {"type": "object"}} for i in range(100)]
            extra = {"nextCursor": str(k + 1)}
        elif m == "list-changes":
            tools.append({"name": "rot_%d" % self.lists, "inputSchema": {"type": "object"}})
        elif m == "wrong-shape":
            tools += [{"description": "no name", "inputSchema": {"type": "object"}},
                      {"name": "null_schema", "inputSchema": None},
                      {"name": "no_schema"},
                      {"name": "array_schema", "inputSchema": []},
                      {"name": "echo", "description": "duplicate name", "inputSchema": {"type": "object"}},
                      {"name": "", "inputSchema": {"type": "object"}},
                      {"name": "spaces and/slashes\u0000\u202e", "inputSchema": {"type": "object"}},
                      {"name": "n" * 300, "inputSchema": {"type": "object"}},
                      {"name": "title_number", "title": 5, "inputSchema": {"type": "object"}},
                      {"name": "self_ref", "inputSchema": {"type": "object", "properties": {"x": {"$ref": "#"}}}},
                      {"name": "remote_ref", "inputSchema": {"type": "object", "properties": {"x": {"$ref": "http://127.0.0.1:9/schema.json"}}}},
                      {"name": "bad_annotations", "annotations": "yes", "inputSchema": {"type": "object"}},
                      {"name": "schema_draft4", "inputSchema": {"$schema": "http://json-schema.org/draft-04/schema#", "type": "object",
                                                                "properties": {"n": {"type": "number", "minimum": 0, "exclusiveMinimum": True}}}}]
        self.result(msg, {"tools": tools, **extra}, modern)

    def guard(self, msg, params, modern, n):
        try:
            self.on_call(msg, params, modern, n)
        except Exception as e:
            self.log("bug", err=repr(e))
            self.error(msg, -32603, "internal: %r" % e)

    def text(self, msg, s, modern, **kw):
        self.result(msg, {"content": [{"type": "text", "text": s}], "isError": False, **kw}, modern)

    def on_call(self, msg, params, modern, n):
        m, name, args = self.mode, params.get("name"), params.get("arguments") or {}
        if m == "exit-after" and n >= self.opt("count", 3):
            self.leave(3)
        if m == "hang-call":
            return
        if m == "late-reply":
            time.sleep(self.opt("delay", 3))
        if m == "out-of-order":
            time.sleep(random.random() * 0.5)
        if m == "huge-line":
            head = ('{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"' % json.dumps(msg["id"])).encode()
            left = self.opt("size", 200_000_000)
            with self.lock:
                try:
                    self.out.write(head)
                    while left > 0:
                        self.out.write(b"x" * min(left, 1 << 20)); left -= 1 << 20
                    self.out.write(b'"}]}}\n'); self.out.flush()
                    self.log("sent", what="huge-line complete")
                except OSError as e:
                    self.log("write-failed", err=str(e)); self.leave(0)
            return
        if m == "endless-line":
            total = 0
            with self.lock:
                try:
                    while True:
                        self.out.write(b"x" * (1 << 20)); self.out.flush(); total += 1
                        if total % 64 == 0:
                            self.log("sent", mb=total)
                except OSError as e:
                    self.log("write-failed", err=str(e), mb=total); self.leave(0)
        if m == "deep-json":
            d = self.opt("count", 100_000)
            self.raw(b'{"jsonrpc":"2.0","id":%s,"result":{"content":[],"structuredContent":{"x":' % json.dumps(msg["id"]).encode()
                     + b"[" * d + b"]" * d + b"}}}\n")
            return
        if m == "bad-utf8":
            return self.raw(b'{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"caf\xe9 \xff\xfe \xed\xa0\x80 ok"}]}}\n'
                            % json.dumps(msg["id"]).encode())
        if m == "notif-flood":
            tok = (params.get("_meta") or {}).get("progressToken", 0)
            for i in range(self.opt("count", 100_000)):
                if i % 3 == 0:
                    self.notify("notifications/message", {"level": "info", "data": "flood %d" % i})
                elif i % 3 == 1:
                    self.notify("notifications/progress", {"progressToken": tok, "progress": i})
                else:
                    self.notify("notifications/tools/list_changed")
        if m == "list-changes":
            self.notify("notifications/tools/list_changed")
            if str(name).startswith("rot_"):
                if name != "rot_%d" % self.lists:
                    return self.error(msg, -32602, "Unknown tool: %s" % name)
                self.text(msg, "rotten", modern)
                return self.notify("notifications/tools/list_changed")
        if m == "server-requests":
            got = {}
            for i, (meth, p) in enumerate([
                    ("ping", {}), ("roots/list", {}), ("no/such/method", {}),
                    ("sampling/createMessage", {"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}], "maxTokens": 5}),
                    ("elicitation/create", {"message": "name?", "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}})]):
                r = self.ask(msg["id"] if i == 0 else n * 10 + i, meth, p)
                got[meth] = "no reply" if r is None else ("result" if "result" in r else r.get("error"))
            return self.text(msg, json.dumps(got), modern)
        if m == "secret-stderr":
            return self.error(msg, -32000, "upstream said 401 for token " + os.environ.get("TOKEN", "(no TOKEN)"))
        # ---- the ordinary tools
        if name == "echo":
            self.text(msg, str(args.get("text", "")), modern)
        elif name == "add":
            s = args.get("a", 0) + args.get("b", 0)
            self.text(msg, str(s), modern, structuredContent={"sum": s})
        elif name == "sleep":
            time.sleep(args.get("ms", 0) / 1000)
            self.text(msg, "slept", modern)
        elif name == "fail":
            self.result(msg, {"content": [{"type": "text", "text": "it failed"}], "isError": True}, modern)
        elif name == "rpcerror":
            self.error(msg, -32042, "custom error", {"why": "asked for"})
        elif name == "big":
            self.text(msg, "b" * int(args.get("size", 0)), modern)
        elif name == "progress":
            tok = (params.get("_meta") or {}).get("progressToken")
            for i in range(int(args.get("n", 3))):
                if tok is not None:
                    self.notify("notifications/progress", {"progressToken": tok, "progress": i + 1, "total": args.get("n", 3)})
            self.text(msg, "done", modern)
        elif name == "inspect":
            fds = {}
            for f in os.listdir("/proc/self/fd"):
                try:
                    fds[f] = os.readlink("/proc/self/fd/" + f)
                except OSError:
                    pass
            self.text(msg, json.dumps({"pid": os.getpid(), "ppid": os.getppid(), "pgid": os.getpgid(0), "sid": os.getsid(0),
                                       "cwd": os.getcwd(), "env": sorted(os.environ), "fds": fds, "starts": self.starts,
                                       "argv": sys.argv}), modern)
        elif name == "crash":
            self.log("crash")
            os.kill(os.getpid(), signal.SIGKILL)
        elif name == "exit":
            self.leave(int(args.get("code", 0)))
        elif name == "spawn":
            p = subprocess.Popen([sys.executable, "-c", "import time;time.sleep(600)"], stdin=subprocess.DEVNULL)
            self.log("grandchild", child=p.pid)
            self.text(msg, str(p.pid), modern)
        else:
            self.error(msg, -32602, "Unknown tool: %s" % name)
        if m == "close-stdout":
            null = os.open(os.devnull, os.O_WRONLY)
            with self.lock:
                os.dup2(null, 1)
            self.log("sent", what="stdout closed")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--mode", default="normal", choices=sorted(MODES), metavar="NAME")
    p.add_argument("--discover", action="store_true", help="speak 2026-07-28 (server/discover) as well")
    p.add_argument("--delay", type=float)
    p.add_argument("--count", type=int)
    p.add_argument("--size", type=int)
    p.add_argument("--state", help="file with the start counter (fail-first, inspect)")
    p.add_argument("--log", help="append events as JSON lines")
    p.add_argument("--list", action="store_true", help="list the modes")
    p.add_argument("--markdown", action="store_true")
    a = p.parse_args()
    if a.list:
        if a.markdown:
            print("| mode | what the server does | what a good client runtime must do |\n| --- | --- | --- |")
        for k, (d, must) in MODES.items():
            print("| `%s` | %s | %s |" % (k, d, must) if a.markdown else "%-18s %s\n%18s -> %s" % (k, d, "", must))
        return
    Server(a).run()


if __name__ == "__main__":
    main()
