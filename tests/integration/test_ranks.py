#!/usr/bin/env python3
"""Several gx-train processes in a site: they train like one, agree to the bit, and die together."""
import json
import os
import signal
import socket
import sys

import gxtest
from gxtest import Lab, Process, Skip, check, program, remark, run, wait_until
from test_train import make_tokens

sys.path.insert(1, os.path.join(gxtest.ROOT, "tools", "demo"))
import mpi  # noqa: E402

MODEL = ["--layers", "1", "--width", "32", "--heads", "2", "--context", "32", "--batch", "4", "--threads", "1",
         "--val-batches", "2", "--sample", "0", "--seed", "7"]
# Losses of the same steps, divided otherwise: sums round otherwise, and training carries that on.
CLOSE = 2e-5


def mpirun(count):
    why = mpi.missing(os.path.dirname(gxtest.BIN))
    if why:
        raise Skip(why)
    return mpi.launcher(count)


def free_tcp_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Site:
    """One site's ranks. how: "one", "mpi" or "tcp". The log is rank 0's."""

    def __init__(self, lab, name, how, count, arguments):
        self.lab, self.name, self.log = lab, name, lab.path(name + ".json")
        self.processes = []
        argv = [program("gx-train"), *MODEL, "--json", self.log, *arguments]
        if how == "mpi":
            self.start(name, [*mpirun(count), *argv], mpi.ENVIRONMENT)
        elif how == "one":
            self.start(name, argv, {})
        else:
            port = str(free_tcp_port())
            for rank in range(count):
                self.start("%s-%d" % (name, rank), argv, {
                    "RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": port})

    def start(self, name, argv, env):
        process = Process(name, argv, self.lab.folder, env)
        self.lab.processes.append(process)
        self.processes.append(process)

    def records(self):
        if not os.path.exists(self.log):
            return []
        with open(self.log) as f:
            lines = [line for line in f if line.endswith("\n")]
        return [r for r in map(json.loads, lines) if r["type"] == "round"]

    def until_round(self, round):
        wait_until(lambda: any(r["round"] >= round for r in self.records()) or not self.processes[0].alive(),
                   "round %d at %s" % (round, self.name))
        check(self.processes[0].alive(), "%s ended too early: %s" % (self.name, self.processes[0].tail()))

    def end(self):
        for process in self.processes:
            check(process.wait() == 0, "%s: exit status %s: %s" % (process.name, process.popen.returncode, process.tail()))
        return self.records()


def ranks_of(site):
    """The process ids of the gx-trains below mpirun, by rank."""
    found = {}
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            with open("/proc/%d/environ" % pid, "rb") as f:
                environ = dict(e.split(b"=", 1) for e in f.read().split(b"\0") if b"=" in e)
            with open("/proc/%d/cmdline" % pid, "rb") as f:
                command = f.read().split(b"\0")
        except (OSError, ValueError):
            continue
        rank = environ.get(b"PMI_RANK", environ.get(b"OMPI_COMM_WORLD_RANK"))
        if rank and command[0] == program("gx-train").encode() and site.log.encode() in command:
            found[int(rank)] = pid
    return found


def alone(lab, rounds=3, inner_steps=15):
    (train,), val = make_tokens(lab.folder, 1)
    return ["--data", train, "--val", val, "--rounds", str(rounds), "--inner-steps", str(inner_steps)]


def compare_with_one(how, count):
    with Lab() as lab:
        arguments = alone(lab)
        one = Site(lab, "one", "one", 1, arguments).end()
        many = Site(lab, "many", how, count, arguments).end()
        check([r["round"] for r in many] == [r["round"] for r in one], "rounds %s" % [r["round"] for r in many])
        furthest = 0.0
        for a, b in zip(one, many):
            check("rank_digests" not in a, "one rank logs rank_digests")
            check(b["rank_digests"] == [b["digest"]] * count, "round %d: %s" % (b["round"], b))
            check(a["tokens"] == b["tokens"] and a["weight"] == b["weight"], "round %d: other tokens" % b["round"])
            for key in ("inner_loss", "val_loss"):
                if a[key] is not None:
                    furthest = max(furthest, abs(a[key] - b[key]) / a[key])
        remark("%d ranks by %s: losses differ from one rank's by at most %.1e, relative" % (count, how, furthest))
        check(furthest < CLOSE, "losses differ by %g" % furthest)
        check(many[-1]["val_loss"] < many[0]["val_loss"] - 0.1, "nothing was learned")


def test_mpi_ranks_train_like_one():
    compare_with_one("mpi", 2)


def test_tcp_ranks_train_like_one():
    compare_with_one("tcp", 2)
    compare_with_one("tcp", 4)


def test_gx_train_does_not_need_mpi():
    done = run(["ldd", program("gx-train")])
    check(done.returncode == 0 and "libmpi" not in done.stdout, done.stdout)


def test_ranks_resume():
    with Lab() as lab:
        whole = Site(lab, "whole", "mpi", 2, alone(lab, 60, 10)).end()
        arguments = alone(lab, 60, 10) + ["--checkpoint", lab.path("checkpoint")]
        first = Site(lab, "first", "mpi", 2, arguments)
        first.until_round(3)
        first.processes[0].kill()
        wait_until(lambda: not ranks_of(first), "end of the ranks whose mpirun was killed")
        check(first.records()[-1]["round"] < 60, "it ended before it was killed")
        second = Site(lab, "second", "mpi", 2, arguments)
        records = second.end()
        check("resumed from" in second.processes[0].err(), second.processes[0].err())
        check(records[-1]["digest"] == whole[-1]["digest"], "%s after a resume, %s without" %
              (records[-1]["digest"], whole[-1]["digest"]))


class Exchange:
    """Two sites, a gxd each; site a has one rank, b has two."""

    def __init__(self, lab, how, rounds, inner_steps, checkpoint=False):
        self.lab = lab
        trains, val = make_tokens(lab.folder, 2)
        self.arguments = {}
        for site, train in zip(lab.sites, trains):
            self.arguments[site.name] = [
                "-s", site.socket, "--run", "train", "--data", train, "--val", val, "--rounds", str(rounds),
                "--inner-steps", str(inner_steps)]
            if checkpoint:
                self.arguments[site.name] += ["--checkpoint", lab.path("checkpoint-" + site.name)]
        self.how, self.starts = how, 0
        self.a = Site(lab, "a-train", "one", 1, self.arguments["a"])
        self.b = self.start_b()

    def start_b(self):
        self.starts += 1
        return Site(self.lab, "b-train-%d" % self.starts, self.how, 2, self.arguments["b"])

    def end(self):
        ends = self.a.end(), self.b.end()
        digests = {r[-1]["digest"] for r in ends}
        check(len(digests) == 1, "digests at the end: %s" % digests)
        for record in ends[1]:
            check(len(set(record["rank_digests"])) == 1, "ranks differ: %s" % record)
        return ends


def test_sites_of_one_and_of_two_ranks():
    with Lab("a", "b") as lab:
        _, b = Exchange(lab, "mpi", 4, 15).end()
        check([r["outcome"] for r in b[1:]] == ["member"] * 4, "b: %s" % [r["outcome"] for r in b])
        check(len({r["rank_digests"][0] for r in b}) == 5, "the parameters did not change")


def test_a_killed_rank_ends_its_site_and_comes_back():
    with Lab("a", "b", deadline="3s") as lab:
        exchange = Exchange(lab, "mpi", 24, 60, checkpoint=True)
        exchange.b.until_round(3)
        os.kill(ranks_of(exchange.b)[1], signal.SIGKILL)
        check(exchange.b.processes[0].wait() != 0, "mpirun says that all is well")
        wait_until(lambda: not ranks_of(exchange.b), "end of the other rank")
        wait_until(lambda: exchange.a.records()[-1]["cohort"] == ["a"], "round of a alone")
        # It would have ended before b is back where that takes long.
        exchange.a.processes[0].signal(signal.SIGSTOP)
        exchange.b = exchange.start_b()
        wait_until(lambda: "resumed from" in exchange.b.processes[0].err(), "resume of b")
        exchange.a.processes[0].signal(signal.SIGCONT)
        a, b = exchange.end()
        check(b[-1]["outcome"] == "member", "b did not come back into the cohort: %s" % b[-1])
        remark("a: %s" % " ".join("%d:%s" % (r["round"], ",".join(r["cohort"])) for r in a))


def test_a_killed_rank_is_named_and_the_site_drops_out():
    with Lab("a", "b", deadline="3s") as lab:
        exchange = Exchange(lab, "tcp", 40, 60)
        exchange.b.until_round(3)
        first, second = exchange.b.processes
        second.kill()
        check(first.wait() == 1, "rank 0: exit status %s" % first.popen.returncode)
        check("rank 1 is gone" in first.err(), "rank 0 said: %s" % first.err())
        wait_until(lambda: any(r["cohort"] == ["a"] for r in exchange.a.records()), "round of a alone")
        records = exchange.a.end()
        check(records[-1]["outcome"] == "member", "a did not go on: %s" % records[-1])


def test_a_death_is_noticed_while_the_site_waits_for_another():
    with Lab("a", "b", deadline="600s") as lab:
        exchange = Exchange(lab, "tcp", 100, 10)
        exchange.b.until_round(2)
        exchange.a.processes[0].signal(signal.SIGSTOP)
        wait_until(lambda: "waiting for" in exchange.b.processes[0].err(), "wait for the stopped site")
        exchange.b.processes[1].kill()
        check(exchange.b.processes[0].wait(10) == 1, "rank 0: %s" % exchange.b.processes[0].popen.returncode)
        check("rank 1 is gone" in exchange.b.processes[0].err(), exchange.b.processes[0].err())


def test_rank_0s_end_is_every_ranks():
    with Lab() as lab:
        site = Site(lab, "site", "tcp", 4, alone(lab, 1000, 50))
        site.until_round(1)
        site.processes[0].kill()
        for process in site.processes[1:]:
            check(process.wait(10) == 1 and "rank 0 is gone" in process.err(), process.err())


def test_exit_status_is_rank_0s():
    with Lab() as lab:
        arguments = [*alone(lab), "-s", lab.path("nobody.sock"), "--run", "x"]
        for how in ("tcp", "mpi"):
            site = Site(lab, "no-gxd-" + how, how, 2, arguments)
            check(site.processes[0].wait() == 3, "%s: exit status %s" % (how, site.processes[0].popen.returncode))
            check("nobody.sock" in site.processes[0].err(), site.processes[0].err())


def test_bad_batch():
    with Lab() as lab:
        site = Site(lab, "site", "tcp", 3, alone(lab))
        for process in site.processes:
            check(process.wait(10) == 1, "exit status %s" % process.popen.returncode)
        check("--batch 4: must be a multiple of the 3 ranks" in site.processes[0].err(), site.processes[0].err())


if __name__ == "__main__":
    sys.exit(gxtest.main(globals(), once=True))
