#!/usr/bin/python3
"""A terminal: runs a command on a pty and reads what it prints as a terminal would.

    terminal.py COLUMNS[,COLUMNS…] [--interrupt] COMMAND…

A drawing is what stands between a carriage return and "erase to the end of the line". Behind each of them
the terminal has the next of the widths; with --interrupt it sends Ctrl-C behind the first. Prints JSON: how
the command ended, its lines as they stand at last, how many drawings there were and how many of them were
wider than the terminal, and how many other lines were."""
import fcntl
import json
import os
import pty
import re
import select
import struct
import sys
import termios
import unicodedata


def cells(character):
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


class Screen:
    """What was printed, line by line, as a terminal of `columns` that wraps shows it."""

    def __init__(self, columns):
        self.columns = columns
        self.lines = [[]]
        self.at = 0
        self.in_drawing = False
        self.drawings = self.wide_drawings = self.wraps = 0

    def new_line(self):
        self.lines.append([])
        self.at = 0

    def put(self, character):
        width = cells(character)
        if width == 0:
            return
        if self.at + width > self.columns:
            self.wraps += not self.in_drawing
            self.wide_drawings += self.in_drawing
            self.new_line()
        line = self.lines[-1]
        line.extend(" " * (self.at + width - len(line)))
        line[self.at] = character
        if width == 2:
            line[self.at + 1] = ""
        self.at += width

    def feed(self, text):
        """Returns how many drawings ended in it."""
        before = self.drawings
        for token in re.findall(r"\x1b\[[0-9;]*[A-Za-z]|.", text, re.DOTALL):
            if token == "\r":
                self.at = 0
                self.in_drawing = True
            elif token == "\n":
                self.in_drawing = False
                self.new_line()
            elif token == "\x1b[K":
                del self.lines[-1][self.at:]
                # Without a text it only wipes.
                self.drawings += self.in_drawing and self.at > 0
                self.in_drawing = False
            elif not token.startswith("\x1b"):
                self.put(token)
        return self.drawings - before

    def text(self):
        return ["".join(line).rstrip() for line in self.lines]


def set_size(descriptor, columns):
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


def main():
    widths = [int(width) for width in sys.argv[1].split(",")]
    words = sys.argv[2:]
    interrupts = words[0] == "--interrupt"
    if interrupts:
        words.pop(0)
    # The command waits until its terminal has its size.
    go, told = os.pipe()
    pid, terminal = pty.fork()
    if pid == 0:
        os.close(told)
        os.read(go, 1)
        os.execv(words[0], words)
    os.close(go)
    set_size(terminal, widths[0])
    os.close(told)
    screen = Screen(widths.pop(0))
    pending = b""

    def read():
        nonlocal pending
        try:
            chunk = os.read(terminal, 1 << 16)
        except OSError:  # Nobody has the other side any more.
            return None
        if not chunk:
            return None
        # A character or a sequence that is not whole waits for its rest.
        pending += chunk
        whole = re.match(rb".*?(?=\x1b[^A-Za-z]*\Z|[\xc0-\xff][\x80-\xbf]*\Z|\Z)", pending, re.DOTALL).end()
        if whole < len(pending) and pending[whole] != 0x1b:
            lead = pending[whole]
            needs = 2 if lead < 0xe0 else 3 if lead < 0xf0 else 4
            if len(pending) - whole >= needs:
                whole = len(pending)
        text, pending = pending[:whole].decode(), pending[whole:]
        return screen.feed(text)

    while (drawn := read()) is not None:
        if drawn and interrupts:
            interrupts = False
            os.write(terminal, b"\x03")
        if drawn and widths:
            width = widths.pop(0)
            set_size(terminal, width)
            # What was drawn before is of the width of before.
            while select.select([terminal], [], [], 0)[0] and read() is not None:
                pass
            screen.columns = width
    _, status = os.waitpid(pid, 0)
    print(json.dumps({
        "status": os.waitstatus_to_exitcode(status), "lines": screen.text(), "drawings": screen.drawings,
        "wideDrawings": screen.wide_drawings, "wraps": screen.wraps, "widthsLeft": len(widths)}))


if __name__ == "__main__":
    main()
