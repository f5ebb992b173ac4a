#!/usr/bin/env python3
"""The skills in a folder, served by fastmcp over stdio: skills.py FOLDER."""
import sys
from pathlib import Path

from fastmcp import FastMCP
from fastmcp.server.providers.skills import SkillsDirectoryProvider
from fastmcp.skills.extension import SkillsExtension

server = FastMCP("skills")
provider = SkillsDirectoryProvider(roots=Path(sys.argv[1]), reload=True, experimental_skills=True)
server.add_provider(provider)
server.add_extension(SkillsExtension(providers=[provider]))
server.run("stdio", show_banner=False)
