"""make bench: gx over impaired links, cell by cell, beside what else moves bytes over them; writes docs/benchmarks.md.

    QUICK=1            three cells, three rounds each, one comparison
    FULL=1             30 rounds a cell, 60 of a small one, five runs of TCP with one connection, 300 rounds in the simulator: some
                       40 minutes on a quiet machine of two cores
    CELLS="25MB sim"   only the cells whose name holds one of these words; `versus` are the comparisons, `sim` the simulator
    ROUNDS=N RUNS=N SIM_ROUNDS=N SECONDS_MAX=10
    REALTIME=0         as any other process; else all that is measured comes before the machine's other work (SCHED_RR)
    PAGE=FILE          instead of docs/benchmarks.md, or with QUICK or CELLS build/benchmarks.md; its plots lie beside it. Written
                       when all is measured: a run that is interrupted leaves it as it was

GX_BIN names the programs. Measures, asserts nothing; what cannot be had is left out with the reason. Without namespaces or
AF_XDP there is nothing to measure: exit status 77.
"""
import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from link import Cell, ROOT, load, realtime  # noqa: E402
import contenders  # noqa: E402
import gateways  # noqa: E402
import gxtest  # noqa: E402
import namespaces  # noqa: E402
import page  # noqa: E402

MB, KB = 10**6, 10**3
# name, bytes, one-way delay, loss, goals (p50, p99), redundant beyond loss in %
CELLS = [
    Cell("25MB-50ms-0", 25 * MB, 0.025, 0, goal=(1.015, 1.02), redundant=0),
    Cell("25MB-50ms-0.1", 25 * MB, 0.025, 0.001, goal=(1.02, 1.03), redundant=0.5),
    Cell("25MB-50ms-1", 25 * MB, 0.025, 0.01, goal=(1.02, 1.03), redundant=1),
    Cell("25MB-50ms-5", 25 * MB, 0.025, 0.05, goal=(1.025, 1.04), redundant=1.5),
    Cell("25MB-50ms-10", 25 * MB, 0.025, 0.1, goal=(1.025, 1.04), redundant=2),
    Cell("25MB-150ms-1", 25 * MB, 0.075, 0.01, goal=(1.03, 1.04), redundant=2),
    Cell("25MB-150ms-5", 25 * MB, 0.075, 0.05, goal=(1.03, 1.05), redundant=4),
    Cell("25MB-150ms-10", 25 * MB, 0.075, 0.1, goal=(1.04, 1.06), redundant=5),
    Cell("25MB-50ms-burst-1", 25 * MB, 0.025, 0.01, burst=50, goal=(1.03, 1.06), redundant=8),
    Cell("25MB-50ms-burst-5", 25 * MB, 0.025, 0.05, burst=50, goal=(1.03, 1.06), redundant=12),
    Cell("100MB-50ms-1", 100 * MB, 0.025, 0.01, goal=(1.02, 1.03), redundant=0.5),
    Cell("100MB-150ms-1", 100 * MB, 0.075, 0.01, goal=(1.02, 1.03), redundant=0.5),
    Cell("100MB-50ms-10", 100 * MB, 0.025, 0.1, goal=(1.02, 1.03), redundant=1.5),
    Cell("100MB-150ms-10", 100 * MB, 0.075, 0.1, goal=(1.02, 1.03), redundant=1.5),
    Cell("256KB-50ms-1", 256 * KB, 0.025, 0.01, slack_rtt=0.1, redundant=15),
    Cell("256KB-50ms-10", 256 * KB, 0.025, 0.1, slack_rtt=0.1, redundant=15),
    Cell("256KB-150ms-1", 256 * KB, 0.075, 0.01, slack_rtt=0.1, redundant=15),
    Cell("256KB-150ms-10", 256 * KB, 0.075, 0.1, slack_rtt=0.1, redundant=15),
    Cell("1MB-50ms-1", 1 * MB, 0.025, 0.01, slack_rtt=0.2, redundant=12),
    Cell("1MB-50ms-10", 1 * MB, 0.025, 0.1, slack_rtt=0.2, redundant=12),
    Cell("1MB-150ms-1", 1 * MB, 0.075, 0.01, slack_rtt=0.2, redundant=12),
    Cell("1MB-150ms-10", 1 * MB, 0.075, 0.1, slack_rtt=0.2, redundant=12),
    Cell("4sites-25MB-50ms-1", 25 * MB, 0.025, 0.01, sites=4, goal=(1.03, 1.06)),
]
VERSUS = ["25MB-50ms-0", "25MB-50ms-1", "25MB-50ms-5", "25MB-150ms-1"]
QUICK_CELLS = ["25MB-50ms-1", "25MB-50ms-burst-5", "1MB-50ms-1"]
QUICK_VERSUS = ["25MB-50ms-1"]

QUICK, FULL = (os.environ.get(name, "0") not in ("", "0") for name in ("QUICK", "FULL"))
WORDS = os.environ.get("CELLS", "").split()


def number(name, quick, default, full):
    return int(os.environ.get(name) or (quick if QUICK else full if FULL else default))


ROUNDS = number("ROUNDS", 3, 7, 30)
RUNS = number("RUNS", 1, 1, 5)
SIM_ROUNDS = number("SIM_ROUNDS", 5, 30, 300)
SIM_BYTES_MAX = 12 << 30  # of memory: what goes wrong in virtual time has no other end


def wanted(name):
    """A word that is a cell's whole name means that cell alone."""
    names = {cell.name for cell in CELLS}
    return not WORDS or any(word == name or (word not in names and word in name) for word in WORDS)


def rounds_of(cell):
    """A small transfer takes little, and its spread is all that it has to tell; a large one takes long."""
    if cell.size < MB * 10:
        return 2 * ROUNDS if FULL else 4 * ROUNDS
    return ROUNDS if cell.size < MB * 100 or FULL else max(2, ROUNDS // 2)


def say(text):
    print(text, flush=True)


class Progress:
    """How far the run is, by the seconds that its steps are likely to take on a quiet machine."""

    def __init__(self):
        self.started, self.done_s, self.all_s = time.monotonic(), 0, 0

    def expect(self, seconds):
        self.all_s += seconds

    def step(self, name, seconds):
        say("%3.0f%%, %4.1f of about %.1f minutes: %s" % (
            100 * self.done_s / self.all_s, (time.monotonic() - self.started) / 60, self.all_s / 60, name))
        self.done_s += seconds


progress = Progress()


def reason(error):
    """The last line of what was said: before it, libraries talk."""
    return ([line.strip() for line in str(error).splitlines() if line.strip()] or ["?"])[-1]


def gateways_on(cell, rounds):
    """An Exchange, or why there is none."""
    try:
        return gateways.exchange(cell, rounds)
    except (gxtest.Skip, namespaces.Unavailable, AssertionError) as error:
        return reason(error)


def cell_s(cell):
    """Likely: namespaces, gxds and links up, then rounds with what gx-perf does between them."""
    return 4 + (1 + rounds_of(cell)) * (1.1 * cell.bound_s() + 2 * cell.delay_s + 4e-9 * cell.size * cell.sites)


def cells_wanted():
    return [cell for cell in CELLS if wanted(cell.name) and (not QUICK or WORDS or cell.name in QUICK_CELLS)]


def measure_cells():
    """{name: Exchange, or why there is none}"""
    found = {}
    for cell in cells_wanted():
        progress.step(cell.name, cell_s(cell))
        e = found[cell.name] = gateways_on(cell, rounds_of(cell))
        say("%-20s %s" % (cell.name, "failed: " + e if isinstance(e, str) else (
            "p50 %.3f p99 %.3f of the bound, %d rounds, load %.1f" % (e.p50, e.p99, e.rounds, e.load))))
    return found


def median_of(runs):
    """The median run by time, with those that did not end as the slowest."""
    ordered = sorted(runs, key=lambda r: r.seconds if r.seconds is not None else float("inf"))
    return ordered[(len(ordered) - 1) // 2]


def runs_of(name):
    """What a goal is about, TCP with one connection, gets the median; the others are there to see."""
    return RUNS if name in contenders.MEDIANS else 1


def one_contender(name, function, cell):
    try:
        result = median_of([function(cell) for _ in range(runs_of(name))])
    except (gxtest.Skip, namespaces.Unavailable, AssertionError) as error:
        say("  %-20s skip: %s" % (name, reason(error)))
        return reason(error)
    result.load, result.runs = load(), runs_of(name)
    say("  %-20s %s" % (name, "not within %g s" % contenders.SECONDS_MAX if result.seconds is None else "%s%.2f s" % (
        "about " if result.projected else "", result.seconds)))
    return result


def versus_s():
    """Of one cell: of those with a median one mostly takes its time, of the six others two."""
    return RUNS * (2 * 4 + contenders.SECONDS_MAX) + 6 * 3.5 + 2 * contenders.SECONDS_MAX


def versus_cells():
    return [cell for cell in CELLS if wanted("versus") and cell.name in (QUICK_VERSUS if QUICK else VERSUS)]


def measure_versus(found, folder):
    """[(cell, gx's Exchange, [(name, Result, or why there is none)])]"""
    table = []
    for cell in versus_cells():
        progress.step("others, %s" % cell.name, versus_s())
        own = found.get(cell.name) or gateways_on(cell, ROUNDS)
        table.append((cell, own, [(name, one_contender(name, function, cell))
                                  for name, function in contenders.contenders(folder)]))
    return table


def as_any_other():
    """The simulator has a clock of its own, and memory that it must not exceed."""
    resource.setrlimit(resource.RLIMIT_AS, (SIM_BYTES_MAX, SIM_BYTES_MAX))
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def simulate_cells(first, last):
    argv = [gxtest.program("matrix_sim"), str(SIM_ROUNDS), "path", str(first), str(last)]
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            preexec_fn=as_any_other)


def simulated(process):
    """The head and the rows of a matrix_sim's table, and how it ended."""
    out, err = process.communicate()
    head, rows = out.splitlines()[:2], out.splitlines()[2:]
    if process.returncode != 0:
        rows.append("| `%s` ended with %d: %s | | | | | | | | |" % (
            " ".join(["matrix_sim", *process.args[1:]]), process.returncode, reason(err or "it says nothing")))
    return head, rows


def sim_parts():
    """Cells that run side by side, each part in a process of its own. The last ones, a gigabyte and four sites, take minutes."""
    if not wanted("sim"):
        return []
    if QUICK:
        return [(0, 2)]
    parts = [(0, 11), (12, 21)] if (os.cpu_count() or 1) > 1 else [(0, 21)]
    return [*parts, (22, 22), (23, 23)] if FULL else parts


def sim_s():
    return SIM_ROUNDS * (2 if len(sim_parts()) > 1 else 3.5)


def simulate():
    """The simulator's table."""
    parts, table = sim_parts(), []
    if not parts:
        return ""
    progress.step("simulator, %d rounds a cell" % SIM_ROUNDS, sim_s())
    for process in [simulate_cells(*part) for part in parts]:
        head, rows = simulated(process)
        table += rows if table else head + rows
    return "\n".join(table)


def expect():
    for cell in cells_wanted():
        progress.expect(cell_s(cell))
    for _ in versus_cells():
        progress.expect(versus_s())
    if sim_parts():
        progress.expect(sim_s())


def page_path():
    """What a part of the matrix gave is no page to replace the whole one with."""
    whole = os.path.join(ROOT, "docs", "benchmarks.md")
    part = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(gxtest.program("gx-perf")))), "benchmarks.md")
    return os.environ.get("PAGE") or (part if QUICK or WORDS else whole)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    why = namespaces.missing("ethtool")
    if why:
        say("skip matrix: " + why)
        return 77
    about = page.About(started=time.monotonic(), load=load(), rounds=ROUNDS, sim_rounds=SIM_ROUNDS,
                       seconds_max=contenders.SECONDS_MAX, full=FULL, realtime=realtime())
    expect()
    path = page_path()
    found, versus = measure_cells(), []
    if found and all(isinstance(e, str) for e in found.values()):
        say("skip matrix: %s" % next(iter(found.values())))
        return 77
    if versus_cells():
        with tempfile.TemporaryDirectory(prefix="gx-bench-") as folder:
            versus = measure_versus(found, folder)
    page.write(path, about, [(c, found[c.name]) for c in CELLS if c.name in found], versus, simulate())
    say("wrote %s" % path)
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
