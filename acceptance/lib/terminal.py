"""Runs one command in a terminal of its own and tells what a person would have seen.

Takes one JSON object: command, columns, and `react`: [[text, keys], ...], keys to press once each text has
appeared, in that order. Prints one: output (as sent to the terminal) and exit (negative for a signal).
"""
import fcntl
import json
import os
import pty
import struct
import sys
import termios

order = json.loads(sys.argv[1])
child, terminal = pty.fork()
if child == 0:
    os.execvpe(order["command"][0], order["command"], os.environ)
size = struct.pack("HHHH", 40, order.get("columns", 80), 0, 0)
fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
react = order.get("react", [])
output = b""
while True:
    try:
        some = os.read(terminal, 4096)
    except OSError:
        break
    if not some:
        break
    output += some
    while react and react[0][0].encode() in output:
        os.write(terminal, react.pop(0)[1].encode())
_, status = os.waitpid(child, 0)
print(json.dumps({"output": output.decode(), "exit": os.waitstatus_to_exitcode(status)}))
