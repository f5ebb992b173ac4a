#!/usr/bin/env python3
"""A server behind fastmcp's in-memory authorization server, whose tokens live for seconds.

  oauth.py PORT SECONDS

Listens on /mcp. Tools: `add`; `revoke`, which forgets all tokens. Prints `login`, `refresh`, and
`refused refresh` when that happens.
"""
import sys

from fastmcp import FastMCP
from fastmcp.server.auth.providers import in_memory
from mcp.server.auth.settings import ClientRegistrationOptions, RevocationOptions

port, seconds = int(sys.argv[1]), int(sys.argv[2])
in_memory.DEFAULT_ACCESS_TOKEN_EXPIRY_SECONDS = seconds


class Provider(in_memory.InMemoryOAuthProvider):
    async def exchange_authorization_code(self, client, code):
        print("login", flush=True)
        return await super().exchange_authorization_code(client, code)

    async def exchange_refresh_token(self, client, token, scopes):
        print("refresh", flush=True)
        return await super().exchange_refresh_token(client, token, scopes)

    async def load_refresh_token(self, client, token):
        found = await super().load_refresh_token(client, token)
        if found is None:
            print("refused refresh", flush=True)
        return found


provider = Provider(
    base_url=f"http://127.0.0.1:{port}",
    client_registration_options=ClientRegistrationOptions(enabled=True),
    revocation_options=RevocationOptions(enabled=True),
)
server = FastMCP("oauth", auth=provider)


@server.tool()
def add(a: int, b: int) -> str:
    return str(a + b)


@server.tool()
def revoke() -> str:
    provider.access_tokens.clear()
    provider.refresh_tokens.clear()
    return "revoked"


server.run("streamable-http", host="127.0.0.1", port=port, show_banner=False)
