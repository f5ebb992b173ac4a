mcp_server "linear" {
  transport = "streamable_http"
  url       = "https://mcp.linear.app/mcp"
  auth      = { type = "bearer", env = "LINEAR_API_KEY" }
  restart { max_restarts = 3 }
  tools "get_*" { request_timeout = "5s" }
}
mcp_server "git" {
  command = "git-mcp"
  args    = ["--repo", "${env.HOME}"]
  env     = { TOKEN = { env = "GITHUB_TOKEN" }, LEVEL = "debug" }
}
