# Each form that is documented, once.
mcp_server "linear" {
  transport = "streamable_http"
  url       = "https://mcp.linear.app/mcp"
  auth      = { type = "bearer", env = "LINEAR_API_KEY" }
}

workflow "triage" {
  mcp_server "github" {
    transport       = "stdio"
    command         = "github-mcp-server"
    args            = ["stdio", "--host=${env.CALLBOARD_TEST_HOST}"]
    env             = ["GITHUB_TOKEN", "GITHUB_HOST"]
    prefix          = "gh"
    init_timeout    = "20s"
    request_timeout = "30s"
    cwd             = "/srv"

    restart {
      policy       = "on_failure"
      max_restarts = 3
    }
    tools "get_*" {
      cache { keep_for = "60s" }
    }
    tools "create_*" {
      total_timeout = "2m"
    }
  }
}

mcp_server "notes" {
  transport = "stdio"
  command   = "notes-mcp"
  env = {
    LEVEL   = { static = "debug" }
    DOLLARS = "$${not.a.reference}"
    TOKEN   = { env = "NOTES_TOKEN" }
    KEY     = { op = "op://work/notes/key" }
    PAIR    = "user:${env.NOTES_PASSWORD}"
  }
}

mcp_server "billing" {
  transport = "http"
  url       = "https://billing.example.com/mcp"
  headers   = { "X-Tenant" = "acme", "X-Key" = "${env.BILLING_KEY}" }
  auth = {
    type              = "client_credentials"
    token_url         = "https://login.example.com/token"
    client_id_env     = "PATH"
    client_secret_env = "BILLING_SECRET"
    scope             = "read write"
  }
}

mcp_server "old" {
  transport = "http_sse"
  url       = "http://127.0.0.1:8080/sse"
}

mcp_server "off" {
  transport = "stdio"
  command   = "off-mcp"
  disabled  = true
}
