#!/usr/bin/env python3
"""A terminal for a command: terminal.py COLUMNS ROWS COMMAND [ARG…].

What comes on stdin is typed there, what it shows goes to stdout. Ends as the command does.
"""
import fcntl, os, pty, select, struct, sys, termios

columns, rows, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
pid, screen = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    os.execvp(command[0], command)
typed = [0]
while True:
    ready, _, _ = select.select([screen, *typed], [], [])
    if screen in ready:
        try:
            shown = os.read(screen, 65536)
        except OSError:  # Nobody has it open any more.
            shown = b""
        if not shown:
            break
        os.write(1, shown)
    elif ready:
        keys = os.read(0, 4096)
        if keys:
            os.write(screen, keys)
        else:
            typed = []
_, status = os.waitpid(pid, 0)
code = os.waitstatus_to_exitcode(status)
sys.exit(code if code >= 0 else 128 - code)
