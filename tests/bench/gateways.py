"""gx on the same link: a gxd and a gx-perf at every site, af_xdp ports, gx-wan between them."""
import json
import os
import statistics
import tempfile

import gxtest
from link import GX_OVERHEAD, Link, cpu_s, load


class Exchange:
    """What one cell gave, over all sites: ratios are those of the slowest site."""

    def __init__(self, cell, rounds, reports, wan, cpu):
        self.cell, self.rounds, self.load = cell, rounds, load()
        self.wan, self.reports = wan, reports
        realised = "_realised" if cell.burst else ""
        self.p50 = self.worst("transfer_ratio%s_p50" % realised)
        gxtest.check(self.p50 is not None, "no round was received")
        self.p99 = self.worst("transfer_ratio%s_p99" % realised)
        self.round_p50 = self.worst("round_ratio%s_p50" % realised)
        self.idle = self.worst("link_idle_p50")
        self.seconds = self.worst("held_seconds_p50")
        self.above_rtt = (self.worst("held_seconds_p99") - cell.bound_s()) / (2 * cell.delay_s)
        busy = [w["busy_share"] for r in reports for w in r["workers"] if w["busy_share"] is not None]
        self.busy = max(busy) if busy else None
        self.cpu_s = cpu / (rounds + 1)
        self.redundant = max(self.redundant_of(i) for i in range(len(reports)))
        self.lost, self.advance, self.asked = (sum(link[key] for r in reports for link in r["links"]) for key in (
            "lost_packets", "rebuilt_advance_shards", "rebuilt_asked_shards"))
        self.drops = wan["kernel_drops"] + wan["send_drops"] + wan["buffer_drops"]

    def worst(self, key):
        values = [r[key] for r in self.reports if r[key] is not None]
        return max(values) if values else None

    def redundant_of(self, site):
        """Parity and repeats beyond what was lost, in percent of the payload."""
        report = self.reports[site]
        losses = [r["loss"] or 0 for i, r in enumerate(self.reports) if i != site]
        sent = (self.cell.sites - 1) * self.cell.size * (1 + GX_OVERHEAD) * self.rounds
        return 100 * (report["redundant_bytes"] - statistics.mean(losses) * report["sent_bytes"]) / sent

    def goodput_per_cpu_s(self):
        """Bits received at all sites per CPU-second of all gxds; None: too little to be measured."""
        bits = 8 * self.cell.size * self.cell.sites * (self.cell.sites - 1)
        return bits / self.cpu_s if self.cpu_s > 0 else None


def write_config(link, cell, name):
    sites = "".join('  - {name: %s, address: "%s:7440"}\n' % (n, link.net.address(n)) for n in link.names)
    path = link.path(name + ".yaml")
    with open(path, "w") as f:
        # Huge pages of a machine on which others start and end may be gone between two looks.
        f.write('site: %s\nport: {device: "net_af_xdp0,iface=eth0", address: %s/24}\neal: "--no-huge"\nsocket: %s\nrate: %dbit\n'
                "memory: 2GiB\nsites:\n%s" % (name, link.net.address(name), link.path(name + ".sock"), cell.rate_bps, sites))
    return path


def perf(link, cell, name, rounds, slots):
    return gxtest.Process("perf-" + name, [
        gxtest.program("gx-perf"), "-s", link.path(name + ".sock"), "--run", "bench", "--bytes", str(cell.size),
        "--rounds", str(rounds), "--json", "--link-rate", "%dbit" % cell.rate_bps, "--link-delay", "%gms" % (1e3 * cell.delay_s),
        "--link-loss", "%g" % cell.loss, "--realised", slots, "--timeout", "60"], link.folder)


def exchange(cell, rounds):
    """Runs a cell; an Exchange. gx-perf's first round is a warm-up and not counted."""
    with tempfile.TemporaryDirectory(prefix="gx-slots-") as folder:
        slots = os.path.join(folder, "slots")
        with Link(*cell.law(), "--slots", slots, sites=cell.sites, checksums=False) as link:
            return run(link, cell, rounds, slots)


def run(link, cell, rounds, slots):
    gxds = [link.start("gxd-" + n, n, [gxtest.program("gxd"), "-c", write_config(link, cell, n)]) for n in link.names]
    gxtest.wait_until(lambda: all(os.path.exists(link.path(n + ".sock")) for n in link.names) or
                      not all(g.alive() for g in gxds), "gxd's socket", 30)
    for gxd in gxds:
        gxtest.check(gxd.alive(), "gxd: " + gxd.tail())
    started = sum(cpu_s(g.pid) for g in gxds)
    perfs = [perf(link, cell, n, rounds, slots) for n in link.names]
    link.processes += perfs
    seconds = 60 + (rounds + 1) * (3 * cell.bound_s() + 1)
    for process in perfs:
        if process.wait(seconds) != 0:
            raise AssertionError("gx-perf: " + process.tail())
    cpu = sum(cpu_s(g.pid) for g in gxds) - started
    return Exchange(cell, rounds, [json.loads(p.out()) for p in perfs], link.counters(), cpu)
