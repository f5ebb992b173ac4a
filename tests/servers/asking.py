#!/usr/bin/env python3
"""A server of 2026-07-28 with everything in it, on each of the Python libraries that have that.

  asking.py fastmcp|sdk2 [PORT]

Over stdio, or over HTTP at /mcp. Tools: `ask`, which asks for a name first; `touch`, which says that
note://a has changed; `say`, which logs. Resources note://a and note://{name}/more, the prompt `greet`.
"""
import sys

from mcp_types import ElicitRequest, ElicitRequestFormParams, InputRequiredResult

library, port = sys.argv[1], sys.argv[2:]
if library == "fastmcp":
    from fastmcp import Context, FastMCP
    server, options = FastMCP("fastmcp"), {"show_banner": False}
else:
    from mcp.server.mcpserver import Context, MCPServer
    server, options = MCPServer("sdk2"), {}
FORM = {"type": "object", "properties": {"name": {"type": "string", "default": "nobody"}}}


@server.tool()
async def ask(ctx: Context) -> str | InputRequiredResult:
    if not ctx.input_responses:
        params = ElicitRequestFormParams(message="who", requested_schema=FORM)
        return InputRequiredResult(input_requests={"who": ElicitRequest(params=params)},
                                   request_state="kept")
    answer = ctx.input_responses["who"]
    content = answer["content"] if isinstance(answer, dict) else answer.content
    return f"{content['name']} {ctx.request_state}"


@server.tool()
async def touch(ctx: Context) -> str:
    if library == "fastmcp":
        from mcp_types import ResourceUpdatedNotification, ResourceUpdatedNotificationParams
        params = ResourceUpdatedNotificationParams(uri="note://a")
        await ctx.send_notification(ResourceUpdatedNotification(params=params))
    else:
        await ctx.notify_resource_updated("note://a")
    return "ok"


@server.tool()
async def say(ctx: Context) -> str:
    await ctx.info("said")
    return "ok"


@server.resource("note://a")
def note() -> str:
    return "noted"


@server.resource("note://{name}/more")
def more(name: str) -> str:
    return f"more of {name}"


@server.prompt()
def greet(who: str) -> str:
    return f"Greet {who}"


if port:
    server.run("streamable-http", host="127.0.0.1", port=int(port[0]), **options)
else:
    server.run("stdio", **options)
