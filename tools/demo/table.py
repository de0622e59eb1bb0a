"""What gx-train's logs say, and the live table made of it."""

import json
import sys
import time

REFRESH_S = 0.2


class Log:
    """A gx-train --json file, read as it grows."""

    def __init__(self, path):
        self.path, self.offset = path, 0
        self.start, self.end, self.rounds = None, None, {}

    def read(self):
        try:
            with open(self.path, "rb") as f:
                f.seek(self.offset)
                data = f.read()
        except FileNotFoundError:
            return
        whole = data[:data.rfind(b"\n") + 1]
        self.offset += len(whole)
        for line in whole.splitlines():
            entry = json.loads(line)
            if entry["type"] == "round":
                self.rounds[entry["round"]] = entry
            elif entry["type"] == "start":
                self.start = entry
            elif entry["type"] == "end":
                self.end = entry

    def last(self):
        return max(self.rounds) if self.rounds else -1


class Screen:
    """One line at the bottom that is rewritten on a terminal; elsewhere only whole lines are printed."""

    def __init__(self):
        self.terminal = sys.stdout.isatty()
        self.shown = False

    def write(self, text):
        try:
            print(text, end="", flush=True)
        except OSError as error:  # the terminal or the reader of a pipe is gone: nobody waits for the rest
            raise KeyboardInterrupt from error

    def live(self, text):
        if self.terminal:
            self.write("\r\033[K" + text)
            self.shown = True

    def line(self, text=""):
        clear = "\r\033[K" if self.shown else ""
        self.shown = False
        self.write(clear + text + "\n")

    def title(self, text):
        self.line(f"\033[1m{text}\033[0m" if self.terminal else text)


def number(entry, key, form):
    value = entry.get(key)
    return format(value, form) if isinstance(value, (int, float)) else "-"


def heading(names):
    losses = " ".join(f"{'loss ' + name:>8}" for name in names)
    return f"{'round':>5} {losses} {'exchange s':>10} {'waited s':>8}  {'cohort':<10} shared parameters"


def row(round_number, entries):
    """One round of all sites; an entry is None while its site has not finished the round."""
    losses = " ".join(f"{number(e, 'val_loss', '8.4f') if e else '…':>8}" for e in entries)
    there = [e for e in entries if e]
    exchange = max((e["exchange_seconds"] or 0 for e in there), default=0)
    waited = max((e["waited_seconds"] or 0 for e in there), default=0)
    cohorts = {",".join(e["cohort"]) or "-" for e in there}
    digests = sorted({e["digest"] for e in there})
    shared = digests[0][:12] if len(digests) == 1 else " ≠ ".join(d[:12] for d in digests)
    if round_number == 0:
        shared = "as each site starts; the first site's are sent to all"
    elif len(digests) == 1 and len(there) == len(entries):
        shared += " at every site"
    return f"{round_number:>5} {losses} {exchange:>10.2f} {waited:>8.2f}  {' / '.join(sorted(cohorts)):<10} {shared}"


def follow(screen, names, logs, rounds, check, stall_s):
    """Prints a row a round until every site has made `rounds` of them. Returns None, or why not."""
    screen.line(heading(names))
    started = changed = time.monotonic()
    shown, seen = -1, None
    while True:
        for log in logs:
            log.read()
        while shown < rounds and all(shown + 1 in log.rounds or log.last() > shown + 1 for log in logs):
            shown += 1
            screen.line(row(shown, [log.rounds.get(shown) for log in logs]))
        if shown >= rounds and all(log.end for log in logs):
            return None
        check()
        now = time.monotonic()
        progress = [(log.last(), bool(log.end)) for log in logs]
        if progress != seen:
            seen, changed = progress, now
        elif now - changed > stall_s:
            return f"no site finished a round for {stall_s:.0f} s"
        entries = [log.rounds.get(shown + 1) for log in logs]
        if any(entries):
            screen.live(row(shown + 1, entries))
        else:
            screen.live(f"{shown + 1:>5} … {now - started:.0f} s" if shown < rounds else "      writing samples")
        time.sleep(REFRESH_S)
