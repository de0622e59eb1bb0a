"""docs/benchmarks.md and its plots, from what matrix.py measured."""
import os
import platform
import shutil
import subprocess
import time

from link import ROOT, load

GNUPLOT_S = 20
BAR = 50


class About:
    """Of one run of the matrix: when, where, how often."""

    def __init__(self, started, load, rounds, sim_rounds, seconds_max, full, realtime):
        self.started, self.load, self.rounds = started, load, rounds
        self.sim_rounds, self.seconds_max, self.full, self.realtime = sim_rounds, seconds_max, full, realtime

    @staticmethod
    def commit():
        def git(*words):
            done = subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True, check=False)
            return done.stdout.strip() if done.returncode == 0 else ""

        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs")
        return (git("rev-parse", "--short=12", "HEAD") or "unknown") + (" with changes" if changed else "")

    @staticmethod
    def cpu():
        with open("/proc/cpuinfo") as f:
            names = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
        return "%d × %s" % (os.cpu_count(), names[0] if names else platform.machine())

    def text(self):
        quiet = " All that is measured ran at real-time priority (SCHED_RR)." if self.realtime else ""
        if max(self.load, load()) >= 1 + 0.5 * os.cpu_count():
            quiet += (" **Other work loaded the machine%s.**" % (
                ": memory and caches were not all ours" if self.realtime else
                ": the times of this run say little, the simulator's are exact"))
        return ("Made by `make bench%s` on %s, commit %s, in %.0f minutes on %s, Linux %s. Load average %.1f when it began, %.1f "
                "when it ended.%s" % (" FULL=1" if self.full else "", time.strftime("%Y-%m-%d", time.gmtime()), self.commit(),
                                      (time.monotonic() - self.started) / 60, self.cpu(), platform.release(),
                                      self.load, load(), quiet))


# ---- plots ----


def quoted(text):
    """For gnuplot."""
    return "'%s'" % text.replace("'", "''")


class Bars:
    """A plot of bars: a group for each x, a bar for each series; None: there is none."""

    def __init__(self, name, title, y, groups, series, log=False):
        self.name, self.title, self.y, self.groups, self.series, self.log = name, title, y, groups, series, log

    def script(self, path):
        lines = ["set terminal svg size 960,480 background rgb 'white' noenhanced", "set output " + quoted(path),
                 "set title " + quoted(self.title), "set ylabel " + quoted(self.y), "set grid y", "set style data histograms",
                 "set style histogram clustered gap 1", "set style fill solid 0.8 border -1", "set key outside right",
                 "set xtics rotate by -30", "set logscale y" if self.log else "set yrange [0:]", "$data << EOD"]
        lines += ["%s %s" % (quoted(group), " ".join("%g" % s[i] if s[i] is not None else "NaN" for _, s in self.series))
                  for i, group in enumerate(self.groups)]
        curves = ["$data using %d:xtic(1) title %s" % (i + 2, quoted(name)) for i, (name, _) in enumerate(self.series)]
        return "\n".join([*lines, "EOD", "plot " + ", ".join(curves), ""])

    def svg(self, path):
        """False: gnuplot is not there, or failed."""
        gnuplot = shutil.which("gnuplot")
        if not gnuplot:
            return False
        try:
            done = subprocess.run([gnuplot], input=self.script(path), text=True, timeout=GNUPLOT_S, check=False,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except (OSError, subprocess.TimeoutExpired):
            return False
        if done.returncode != 0:
            return False
        with open(path) as f:
            lines = [line.rstrip() for line in f]
        with open(path, "w") as f:
            f.write("\n".join(lines) + "\n")
        return True

    def text(self):
        """The same in characters."""
        most = max([v for _, s in self.series for v in s if v is not None], default=0)
        lines = ["```", "%s (%s)" % (self.title, self.y)]
        for i, group in enumerate(self.groups):
            lines.append(group)
            lines += ["  %-22s %8s %s" % (name, "-" if s[i] is None else "%.3g" % s[i],
                                          "#" * round(BAR * (s[i] or 0) / most) if most else "")
                      for name, s in self.series]
        return "\n".join([*(line.rstrip() for line in lines), "```"])

    def show(self, page_path):
        base = os.path.splitext(page_path)[0] + "-" + self.name + ".svg"
        if self.svg(base):
            return "![%s](%s)" % (self.title, os.path.basename(base))
        return self.text()


def cells_plot(cells):
    known = [(c, e) for c, e in cells if not isinstance(e, str) and c.slack_rtt is None]
    if not known:
        return None
    return Bars("cells", "a transfer's time over its bound", "time / bound", [c.name for c, _ in known],
                [("p50", [e.p50 for _, e in known]), ("p99", [e.p99 for _, e in known])])


def versus_plot(versus):
    known = [(c, own, rows) for c, own, rows in versus if not isinstance(own, str)]
    if not known:
        return None
    series = [("bound", [c.bound_s() for c, _, _ in known]), ("gx", [own.seconds for _, own, _ in known])]
    for i, (name, _) in enumerate(known[0][2]):
        series.append((name, [None if isinstance(rows[i][1], str) else rows[i][1].seconds for _, _, rows in known]))
    return Bars("versus", "seconds for 25 MB", "s", [c.name for c, _, _ in known], series, log=True)


# ---- tables ----


def goal_of(cell):
    if cell.goal:
        return "%.3f, %.3f" % cell.goal
    return "p99 ≤ bound + %g RTT" % cell.slack_rtt


def cell_row(cell, e):
    if isinstance(e, str):
        return "| %s | failed: %s | | | | | | | | | | |" % (cell.text(), e)
    mark = " ¹" if cell.burst else ""
    mark += " ²" if e.drops else ""
    return "| %s%s | %d | %.3f | %.3f | %s | %.2f | %s | %.2f | %d, %d, %d | %.3f | %s | %.1f |" % (
        cell.text(), mark, e.rounds, e.p50, e.p99, goal_of(cell), e.above_rtt,
        "%.1f" % (100 * e.idle) if e.idle is not None else "-", e.redundant, e.lost, e.advance, e.asked, e.round_p50,
        "%.0f%%" % (100 * e.busy) if e.busy is not None else "-", e.load)


def cells_table(cells):
    return "\n".join([
        "| cell | rounds | p50 | p99 | goal | p99 − bound, RTT | link idle, % | redundant beyond loss, % of S | "
        "lost, rebuilt in advance, when asked for | round p50 | busy | load |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|", *(cell_row(c, e) for c, e in cells)])


def rate(bps):
    return "%.2f Gbit" % (1e-9 * bps) if bps is not None else "-"


def versus_table(cell, own, rows, seconds_max):
    lines = ["**%s**, bound %.3f s, queues of %.2f MB at each port:" % (cell.text(), cell.bound_s(), cell.queue_bytes() / 1e6),
             "", "| | s | median of | time / bound | times gx's | goodput per CPU-second | load |", "|---|---|---|---|---|---|---|"]
    gx_s = None
    if isinstance(own, str):
        lines.append("| gx | failed: %s | | | | | |" % own)
    else:
        gx_s = own.seconds
        lines.append("| gx | %.2f | %d | %.3f | 1 | %s | %.1f |" % (gx_s, own.rounds, gx_s / cell.bound_s(), rate(own.goodput_per_cpu_s()), own.load))
    for name, r in rows:
        if isinstance(r, str):
            lines.append("| %s | skipped: %s | | | | | |" % (name, r))
            continue
        per_cpu = rate(8 * cell.size / r.cpu_s) if r.cpu_s else "-"
        if r.seconds is None:
            lines.append("| %s | > %g | %d | > %.0f | > %s | - | %.1f |" % (
                name, seconds_max, r.runs, seconds_max / cell.bound_s(), "%.0f" % (seconds_max / gx_s) if gx_s else "-", r.load))
            continue
        lines.append("| %s%s | %s%.2f | %d | %.3f | %s | %s | %.1f |" % (
            name, " (%s)" % r.note if r.note else "", "≈ " if r.projected else "", r.seconds, r.runs, r.seconds / cell.bound_s(),
            "%.2f" % (r.seconds / gx_s) if gx_s else "-", per_cpu, r.load))
    return "\n".join(lines)


# ---- the page ----

HEAD = """# Benchmarks

{about}

`make bench` writes this page (`tests/bench/matrix.py`). It measures and asserts nothing. `FULL=1` runs 30 rounds a cell (some 40 minutes), `QUICK=1` three
cells, `CELLS="256KB versus"` what the words name, both into `build/benchmarks.md`; what is not installed is skipped with the reason. A line's *load* is the load
average of the last minute when it ended: where it is well above the number of busy processes (gx-wan, two gxds), times are too long.

## gx over impaired links

Real gxds, af_xdp ports, `gx-wan` between them: 200 Mbit/s each way at each site, drop-tail queues of one bandwidth-delay product and 64 KiB.
A transfer's time is from the offer to all held at the slowest site, over the bound T = 8·(N−1)·S·(1+h)/(R·(1−p)) + d of
[gx-perf.md](gx-perf.md); both ways at once. Cells: bytes, round trip, loss. *Link idle* is the share of a transfer's time, less the delay, in which the link carried nothing although
something could have been sent (gx-perf.md, the median round, the worse site; a millisecond's resolution). *Lost, rebuilt* are packets lost and data shards rebuilt from
parity sent in advance and from parity asked for, in all counted rounds and links. *Busy* is the busiest worker's share of a core, pauses
between rounds included.
"""

NOTES = """
¹ against the realised bound: with what the link really lost in the round (gx-wan's slot log).
² gx-wan or the kernel before it dropped frames by itself, for want of CPU: not to be believed.
"""

VERSUS = """
## Beside other transports

On the same gx-wan, each alone on a link of its own, at most {seconds_max:g} s; of several runs, as the table says, the median. gx carries 25 MB each way at once, the
others one way. Time over the same bound for all. TCP is Linux's by iperf3, its algorithm named, from connections up to the last byte (≈: what it
would have taken at its pace until it was stopped); SRT is
srt-live-transmit at the link's rate: without FEC in file mode, with it in live mode (latency four round trips); what it lost
for good is named; UDT has its rate capped at the link's; uftp sends at 98% of the link's rate by
its own clock, without its announcement. CPU is that of both ends' processes: gx's with the digests and the mean; the kernel's own part of TCP is not all in it.
"""

SIM = """
## The simulator's percentiles

`build/bin/matrix_sim {rounds}`: the same transfer code in virtual time, {rounds} rounds a cell (a gigabyte: a thirtieth), over the realised
bound where losses come in bursts. Exact and repeatable, whatever the machine's load; not in it: CPU, kernel, devices.

"""


def write(path, about, cells, versus, sim):
    parts = [HEAD.format(about=about.text())]
    if cells:
        parts += [cells_table(cells), NOTES]
        plot = cells_plot(cells)
        parts += [plot.show(path) + "\n"] if plot else []
    if versus:
        parts.append(VERSUS.format(seconds_max=about.seconds_max))
        parts += [versus_table(cell, own, rows, about.seconds_max) + "\n" for cell, own, rows in versus]
        plot = versus_plot(versus)
        parts += [plot.show(path) + "\n"] if plot else []
    if sim:
        parts += [SIM.format(rounds=about.sim_rounds) + sim.strip() + "\n"]
    text = "\n".join(part.strip("\n") + "\n" for part in parts)
    with open(path + ".new", "w") as f:
        f.write("".join(line.rstrip() + "\n" for line in text.splitlines()))
    os.replace(path + ".new", path)
