#!/usr/bin/env python3
"""make demo: several sites on this machine train one GPT on English text, each with its own gxd, over a lossy link.

Settings come from the environment (make demo SITES=4 LOSS=0.05): SITES RANKS LOSS DELAY RATE ROUNDS PORT.
Exit status: 0 all sites ended with the same parameters; 1 not, or something failed; 2 a setting is wrong; 130 Ctrl-C.
As root the sites live in network namespaces with DPDK ports; otherwise, and with PORT=udp, on loopback. Every process,
namespace and file is gone afterwards (after a failure the logs stay, and their place is said; a plot stays in the build).
"""

import argparse
import contextlib
import os
import re
import signal
import sys
import time

sys.dont_write_bytecode = True

import mpi  # noqa: E402
import namespaces  # noqa: E402
import plot  # noqa: E402
import table  # noqa: E402
import text as english  # noqa: E402
from network import DRIVERS, UDP, Network  # noqa: E402
from processes import Failed, Stage  # noqa: E402

SITES_MAX = 8
BATCH = 8
INNER_STEPS = 50
MODEL = ["--layers", "4", "--width", "128", "--heads", "4", "--context", "64", "--batch", str(BATCH),
         "--inner-steps", str(INNER_STEPS), "--threads", "1", "--sample", "160"]
RUN = "demo"
STALL_S = 150.0
END_S = 20.0
# One thread each, and none that spins while the others work: the sites share this machine's cores.
QUIET = {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Settings:
    def __init__(self, environment):
        self.sites = self.whole(environment, "SITES", 2, 2, SITES_MAX)
        self.ranks = self.whole(environment, "RANKS", 1, 1, BATCH)
        if BATCH % self.ranks:
            raise ValueError(f"RANKS={self.ranks}: must divide the batch of {BATCH}")
        self.rounds = self.whole(environment, "ROUNDS", 10, 1, 1000)
        self.loss = self.matching(environment, "LOSS", "0.01", r"0(\.\d+)?|\d+(\.\d+)?%", "a share below 1: 0.01 or 1%")
        self.delay = self.matching(environment, "DELAY", "25ms", r"\d+(\.\d+)?(us|ms|s)", "a time: 25ms")
        self.rate = self.matching(environment, "RATE", "200Mbit", r"\d+(\.\d+)?[kMG]bit", "a rate: 200Mbit")
        self.port = self.one_of(environment, "PORT", [*DRIVERS, UDP])
        self.names = [chr(ord("a") + i) for i in range(self.sites)]

    @staticmethod
    def whole(environment, key, default, low, high):
        value = environment.get(key) or str(default)
        if not value.isdecimal() or not low <= int(value) <= high:
            raise ValueError(f"{key}={value}: must be a whole number from {low} to {high}")
        return int(value)

    @staticmethod
    def matching(environment, key, default, pattern, right):
        value = environment.get(key) or default
        if not re.fullmatch(pattern, value):
            raise ValueError(f"{key}={value}: must be {right}")
        return value

    @staticmethod
    def one_of(environment, key, right):
        """None when nothing was set."""
        value = environment.get(key) or None
        if value and value not in right:
            raise ValueError(f"{key}={value}: must be one of {', '.join(right)}, or nothing for the best that works here")
        return value

    def rate_bps(self):
        return float(self.rate[:-4]) * {"k": 1e3, "M": 1e6, "G": 1e9}[self.rate[-4]]


def megabytes(count):
    return f"{count / 1e6:,.1f} MB" if count < 1e9 else f"{count / 1e9:,.2f} GB"


class Demo:
    def __init__(self, settings, build, stage, screen):
        self.settings, self.stage, self.screen = settings, stage, screen
        self.build = build
        self.bin = os.path.join(build, "bin")
        self.data = os.path.join(build, "demo-data")
        self.spent = []
        self.logs = [table.Log(stage.path(f"train-{name}.json")) for name in settings.names]
        self.control_log = table.Log(stage.path("control.json"))
        self.network = Network(settings, stage, self.program)
        self.links, self.drivers, self.wan = [], [], None
        self.bad_exits = []

    def program(self, name):
        path = os.path.join(self.bin, name)
        if not os.path.exists(path):
            raise Failed(f"{path} does not exist; `make` builds it")
        return path

    @contextlib.contextmanager
    def timed(self, what):
        started = time.monotonic()
        yield
        self.spent.append((what, time.monotonic() - started))

    # ---- the parts of the demo, in order ----

    def make_tokens(self):
        with self.timed("text"):
            text, origin = english.load(self.data)
            text, share = english.arrange(text)
            path = self.stage.path("text")
            with open(path, "wb") as f:
                f.write(text)
            for i, name in enumerate(self.settings.names):
                self.stage.run("gx-tokens", [self.program("gx-tokens"), "--part", f"{i + 1}/{self.settings.sites}",
                                             "--val-fraction", f"{share:.9f}", "--out", self.stage.path(name), path])
            os.unlink(path)
        self.screen.line(f"text      {len(text) / 1e6:.0f} MB of English from {origin}")
        self.screen.line(f"          a part of its own for each site; {100 * share:.0f}%, from all over it, for validation")

    def train(self, name, log, extra, part, launcher=()):
        argv = [*launcher, self.program("gx-train"), "--data", self.stage.path(f"{part}-train.bin"),
                "--val", self.stage.path(f"{self.settings.names[0]}-val.bin"), "--rounds", str(self.settings.rounds),
                "--json", log.path, *MODEL, *extra]
        return self.stage.start(name, argv, {**QUIET, **mpi.ENVIRONMENT}, self.stage.path(name + ".out"))

    def start_control(self):
        return self.train("control", self.control_log, ["--seed", "1"], self.settings.names[0])

    def finish_control(self, process):
        log, rounds, changed, seen = self.control_log, self.settings.rounds, time.monotonic(), -1
        while process.status() is None:
            log.read()
            if log.last() != seen:
                seen, changed = log.last(), time.monotonic()
                if seen >= 0:
                    self.screen.live(f"control   round {seen} of {rounds}, validation loss "
                                     f"{log.rounds[seen]['val_loss']:.4f}")
            elif time.monotonic() - changed > STALL_S:
                raise Failed(f"the control run finished no round for {STALL_S:.0f} s")
            time.sleep(table.REFRESH_S)
        self.stage.check()
        log.read()
        if log.last() < rounds:
            raise Failed("the control run ended before its last round")

    def run_sites(self):
        trainers = []
        launcher = mpi.launcher(self.settings.ranks) if self.settings.ranks > 1 else []
        for i, (name, log) in enumerate(zip(self.settings.names, self.logs)):
            extra = ["-s", self.stage.path(name) + ".sock", "--run", RUN, "--seed", str(i + 1)]
            trainers.append(self.train("train-" + name, log, extra, name, launcher))
        why = table.follow(self.screen, self.settings.names, self.logs, self.settings.rounds, self.stage.check, STALL_S)
        if why:
            raise Failed(why)
        deadline = time.monotonic() + END_S
        while any(trainer.status() is None for trainer in trainers):
            if time.monotonic() > deadline:
                raise Failed(f"a trainer did not end within {END_S:.0f} s of its last round")
            time.sleep(0.02)
        self.stage.check()

    def read_counters(self):
        self.links = [self.network.show(name, "links") for name in self.settings.names]
        self.drivers = [self.network.show(name)["port"] for name in self.settings.names]
        self.wan = self.network.wan_counters()

    # ---- the verdict ----

    def verdict(self):
        rounds, line = self.settings.rounds, self.screen.line
        finals = [log.rounds[rounds] for log in self.logs]
        digests = {f["digest"] for f in finals}
        line()
        self.screen.title("verdict")
        if len(digests) == 1:
            line(f"  parameters     identical, bit for bit, at all {len(finals)} sites: {finals[0]['digest']}")
        else:
            line("  parameters     DIFFERENT: " + ", ".join(f"{n} {f['digest'][:12]}" for n, f in
                                                             zip(self.settings.names, finals)))
        agree = self.tell_ranks()
        self.tell_loss(finals)
        self.tell_bytes(finals)
        self.tell_losses()
        self.tell_ports()
        for text in self.bad_exits:
            line(f"  ended badly    {text}")
        line("  time           " + ", ".join(f"{what} {s:.0f} s" for what, s in self.spent) +
             f"; in all {sum(s for _, s in self.spent):.0f} s")
        return len(digests) == 1 and agree and not self.bad_exits

    def tell_ranks(self):
        """Whether the ranks of each site had the same parameters after every round."""
        if self.settings.ranks == 1:
            return True
        for name, log in zip(self.settings.names, self.logs):
            for number, entry in sorted(log.rounds.items()):
                digests = entry.get("rank_digests", [])
                if len(digests) != self.settings.ranks or len(set(digests)) != 1:
                    self.screen.line(f"  ranks          DIFFERENT at site {name} after round {number}: {digests}")
                    return False
        self.screen.line(f"  ranks          {self.settings.ranks} at each site, their digests equal after each of "
                         f"{self.settings.rounds} rounds")
        return True

    def tell_loss(self, finals):
        first = self.logs[0].rounds.get(0)
        shared, alone = finals[0]["val_loss"], self.control_log.rounds[self.settings.rounds]["val_loss"]
        start = f"{first['val_loss']:.4f} → " if first else ""
        comparison = "below" if shared < alone else "NOT below"
        self.screen.line(f"  validation     {start}{shared:.4f} after {self.settings.rounds} rounds of {INNER_STEPS} steps at "
                         f"each site")
        self.screen.line(f"                 {comparison} {alone:.4f}, which site {self.settings.names[0]} reaches alone with "
                         f"the same compute and no exchange (by {abs(alone - shared):.4f})")

    def tell_bytes(self, finals):
        sites, steps = self.settings.sites, self.settings.rounds * INNER_STEPS
        params = self.logs[0].start["parameters"]
        sent = sum(f["sent_bytes_total"] for f in finals)
        spare = sum(f["redundant_bytes_total"] for f in finals)
        # Each site sends 2 (N-1)/N of the gradients in a ring all-reduce, the least that any can do.
        synchronous = sites * steps * 2 * (sites - 1) / sites * params * 4
        seconds = synchronous / sites * 8 / self.settings.rate_bps()
        self.screen.line(f"  bytes          {megabytes(sent)} sent by all sites, {megabytes(spare)} of it parity")
        self.screen.line(f"                 synchronous data-parallel training: {megabytes(synchronous)} "
                         f"({synchronous / max(sent, 1):.0f} times as much, {seconds:.0f} s of {self.settings.rate} alone)")
        self.screen.line(f"                 = 2 (N-1)/N · 4 B · {params:,} parameters · {steps} steps · {sites} sites (ring all-reduce)")

    def tell_losses(self):
        line, names = self.screen.line, self.settings.names
        line("  losses         path     gx-wan dropped   of packets    lanes counted   of expected")
        for path in self.wan["paths"]:
            a, b = names[path["from"]], names[path["to"]]
            dropped = path["path"]["packets"] - path["path"]["delivered_packets"]
            lost, expected = self.lane_counts(receiver=path["to"], sender=a)
            line(f"                 {a} → {b} {dropped:>18,} {path['path']['packets']:>12,} {lost:>16,} {expected:>13,}")
        queue = sum(p["up"]["packets"] - p["up"]["delivered_packets"] + p["down"]["packets"] -
                    p["down"]["delivered_packets"] for p in self.wan["ports"])
        line(f"                 dropped by gx-wan's full queues: {queue:,}")

    def tell_ports(self):
        line = self.screen.line
        for i, (name, driver) in enumerate(zip(self.settings.names, self.drivers)):
            wan = self.wan["ports"][i]
            beyond = f"gx-wan {wan['device']}" if "device" in wan else f"gx-wan {wan['listen']}"
            line(f"  {'ports' if i == 0 else '':<14} {name}: {driver} ↔ {beyond}")
        if self.network.why_udp:
            line(f"                 kernel UDP, not DPDK: {self.network.why_udp}")

    def lane_counts(self, receiver, sender):
        for link in self.links[receiver]["links"]:
            if link["peer"] == sender:
                return link["lost_packets"], link["expected_packets"]
        raise Failed(f"gxctl show links --json of site {self.settings.names[receiver]} has no link to {sender}")

    def plot(self):
        def losses(log):
            # The start lies far above all the rest, and would flatten it.
            return {r: entry["val_loss"] for r, entry in log.rounds.items() if r and entry.get("val_loss") is not None}

        series = [plot.Series(f"{self.settings.sites} sites together", losses(self.logs[0])),
                  plot.Series(f"site {self.settings.names[0]} alone", losses(self.control_log))]
        self.screen.line()
        self.screen.title("validation loss")
        for text in plot.text(series, "round"):
            self.screen.line("  " + text)
        made = plot.images(series, "round", "validation loss", f"gx demo, loss {self.settings.loss} on the links",
                           os.path.join(self.build, "demo-loss"))
        if made:
            self.screen.line("  " + ", ".join(made))

    def sample(self):
        try:
            with open(self.stage.path(f"train-{self.settings.names[0]}.out"), errors="replace") as f:
                parts = f.read().split("--- sample ---\n")
        except OSError:
            return
        lines = [text for text in parts[-1].splitlines() if text.strip("- ")]
        if len(parts) == 2 and lines:
            self.screen.line()
            self.screen.title("what the shared model writes")
            for text in lines:
                self.screen.line("  " + text)

    def run(self):
        s = self.settings
        ranks = f" of {s.ranks} ranks" if s.ranks > 1 else ""
        self.screen.title(f"gx demo: {s.sites} sites{ranks}, {s.rounds} rounds of {INNER_STEPS} inner steps, link {s.rate}, "
                          f"{s.delay} one way, loss {s.loss}")
        self.make_tokens()
        # Beside the sites only where it takes no core from them.
        beside = (os.cpu_count() or 1) > s.sites + 1
        control = self.start_control()
        if not beside:
            with self.timed("control run"):
                self.finish_control(control)
        with self.timed("sites" + (" and control run" if beside else "")):
            self.network.start()
            self.screen.line(f"network   {self.network.title()}")
            if self.network.why_udp:
                self.screen.line(f"          no DPDK ports: {self.network.why_udp}")
            self.screen.line(f"          the first site, {s.names[0]}, coordinates")
            self.run_sites()
            self.read_counters()
            self.bad_exits = self.network.stop()
            if beside:
                self.finish_control(control)
        good = self.verdict()
        self.plot()
        self.sample()
        return good


def interrupted(number, _frame):
    raise KeyboardInterrupt(number)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", default="build", help="where make built (default: build)")
    options = parser.parse_args()
    screen = table.Screen()
    try:
        settings = Settings(os.environ)
    except ValueError as error:
        print(f"make demo: {error}", file=sys.stderr)
        return 2
    why = mpi.missing(options.build) if settings.ranks > 1 else None
    if why:
        print(f"make demo: RANKS={settings.ranks}: {why}: apt-get install mpich libmpich-dev, then make", file=sys.stderr)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    stage, code, keep = None, 1, True
    try:
        stage = Stage()
        code = 0 if Demo(settings, os.path.abspath(options.build), stage, screen).run() else 1
        keep = code != 0
    except (Failed, namespaces.Unavailable) as error:
        with contextlib.suppress(OSError, KeyboardInterrupt):
            screen.line()
            print(f"make demo: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        code, keep = 130, False
        with contextlib.suppress(KeyboardInterrupt):
            screen.line("interrupted")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if stage:
            stage.close(keep)
            namespaces.Net.close_all()
            if keep:
                with contextlib.suppress(OSError):
                    print(f"make demo: logs are in {stage.directory}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
