#!/usr/bin/env python3
"""One small server over HTTP, on each of the Python libraries that people write servers with.

  sdk.py fastmcp|sdk1|sdk2 sse|http PORT

Listens on /sse (and /messages/) or on /mcp. Tools: `add`; `count`, which reports progress `steps`
times, every `ms` milliseconds, and then answers; `hold`, which prints `holding`, never answers, and
prints `let go` when it is cancelled; `grow`, which adds a tool and says so (not of fastmcp).
"""
import asyncio
import sys

library, transport, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
address = {"host": "127.0.0.1", "port": port}
if library == "fastmcp":
    from fastmcp import Context, FastMCP
    server, options = FastMCP("fastmcp"), {"show_banner": False, **address}
elif library == "sdk1":
    from mcp.server.fastmcp import Context, FastMCP
    server, options = FastMCP("sdk1", **address), {}
else:
    from mcp.server.mcpserver import Context, MCPServer
    server, options = MCPServer("sdk2"), address


@server.tool()
def add(a: int, b: int) -> str:
    return str(a + b)


@server.tool()
async def count(steps: int, ms: int, ctx: Context) -> str:
    for step in range(steps):
        await asyncio.sleep(ms / 1000)
        await ctx.report_progress(step + 1, steps)
    return f"{steps} steps"


@server.tool()
async def hold() -> str:
    print("holding", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print("let go", flush=True)


async def grow(name: str, ctx: Context) -> str:
    server.add_tool(lambda: name, name=name)
    await (ctx.session.send_tool_list_changed if library == "sdk1" else ctx.notify_tools_changed)()
    return name


if library != "fastmcp":
    server.tool()(grow)
server.run("sse" if transport == "sse" else "streamable-http", **options)
