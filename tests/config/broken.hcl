mcp_server "good" {
  transport = "stdio"
  command = "x"
}
mcp_server "no_transport" { command = "x" }
mcp_server "no_command" { transport = "stdio" }
mcp_server "no_url" { transport = "http" }
mcp_server "stray" {
  transport = "stdio"
  command = "x"
  auth = { type = "bearer", env = "A" }
}
mcp_server "also_stray" {
  transport = "http"
  url = "https://example.com"
  args = []
}
mcp_server "typo" {
  transport = "sdtio"
  command = "x"
  requst_timeout = "1s"
}
mcp_server "kind" {
  transport = "http"
  url = "https://example.com"
  auth = { type = "baerer", env = "A" }
}
mcp_server "keys" {
  transport = "http"
  url = "https://example.com"
  auth = { type = "bearer", user = "A" }
}
mcp_server "eval" {
  transport = "stdio"
  command = "x${env.HOME}"
  cwd = 5 % 0
  args = [upper("x"), "${input.x}", true ? "a" : "b"]
}
mcp_server { }
mcp_server "good" {
  transport = "stdio"
  command = "y"
}
step "tool" "x" { }
name = "x"
