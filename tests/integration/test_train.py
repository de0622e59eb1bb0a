#!/usr/bin/env python3
"""gx-train at two sites: the shared parameters are bit-identical, whoever died on the way."""
import json
import os
import random
import sys

import gxtest
from gxtest import Lab, Process, check, once, program, remark, run, wait_until

WAN = ["--rate", "200Mbit", "--delay", "5ms", "--loss", "0.02"]
WORDS = ("the of and a to in he have it that for they with as not on she at by this we you do but from or which one would "
         "all will there say who make when can more if no man out other so what time up go about than into could").split()


def make_tokens(folder, parts):
    """Token files of made-up sentences, its own part for each site; the paths of the train files and of the common val."""
    rng = random.Random(1)
    text = os.path.join(folder, "text")
    with open(text, "w") as f:
        for _ in range(12_000):
            f.write(" ".join(rng.choice(WORDS) for _ in range(rng.randrange(3, 9))).capitalize() + ". ")
    val = os.path.join(folder, "val.bin")
    trains = []
    for part in range(1, parts + 1):
        trains.append(os.path.join(folder, "train-%d.bin" % part))
        done = run([program("gx-tokens"), "--part", "%d/%d" % (part, parts), "--train", trains[-1], "--val", val, text])
        check(done.returncode == 0, "gx-tokens: %s" % done.stderr)
    return trains, val


class Training:
    def __init__(self, lab, rounds, inner_steps, checkpoint=False):
        self.lab, self.rounds = lab, rounds
        trains, val = make_tokens(lab.folder, len(lab.sites))
        self.arguments, self.log, self.process, self.starts = {}, {}, {}, 0
        for site, train in zip(lab.sites, trains):
            self.log[site.name] = lab.path("train-%s.json" % site.name)
            self.arguments[site.name] = [
                program("gx-train"), "-s", site.socket, "--run", "train", "--data", train, "--val", val, "--layers", "1",
                "--width", "32", "--heads", "2", "--context", "32", "--batch", "4", "--inner-steps", str(inner_steps),
                "--rounds", str(rounds), "--threads", "1", "--val-batches", "2", "--sample", "16", "--seed", "7",
                "--json", self.log[site.name]]
            if checkpoint:
                self.arguments[site.name] += ["--checkpoint", lab.path("checkpoint-%s" % site.name)]
        for site in lab.sites:
            self.start(site.name)

    def start(self, name):
        self.starts += 1
        self.process[name] = Process("gx-train-%s-%d" % (name, self.starts), self.arguments[name], self.lab.folder)
        self.lab.processes.append(self.process[name])

    def records(self, name):
        if not os.path.exists(self.log[name]):
            return []
        with open(self.log[name]) as f:
            lines = [line for line in f if line.endswith("\n")]
        return [r for r in map(json.loads, lines) if r["type"] == "round"]

    def until_round(self, name, round):
        wait_until(lambda: any(r["round"] >= round for r in self.records(name)) or not self.process[name].alive(),
                   "round %d at %s" % (round, name))
        check(self.process[name].alive(), "%s ended too early: %s" % (name, self.process[name].tail()))

    def end(self):
        """All end well; where two sites have a state of the same round, it is the same. Records by site."""
        for process in self.process.values():
            check(process.wait() == 0, "%s: exit status %s: %s" % (process.name, process.popen.returncode, process.tail()))
        records = {name: self.records(name) for name in self.process}
        digests = {}
        for name, of_site in records.items():
            check(of_site[-1]["round"] == self.rounds, "%s ended at round %d" % (name, of_site[-1]["round"]))
            for r in of_site:
                other = digests.setdefault(r["round"], (name, r["digest"]))
                check(r["digest"] == other[1], "round %d: digest %s at %s, %s at %s" %
                      (r["round"], r["digest"], name, other[1], other[0]))
        last = [of_site[-1]["digest"] for of_site in records.values()]
        check(len(set(last)) == 1, "digests at the end: %s" % last)
        for name, of_site in records.items():
            remark("%s: %s; validation loss %.3f to %.3f" % (
                name, " ".join("%d:%s" % (r["round"], r["outcome"]) for r in of_site), of_site[0]["val_loss"],
                of_site[-1]["val_loss"]))
        return records


def test_two_sites():
    with Lab("a", "b", wan=WAN) as lab:
        training = Training(lab, rounds=3, inner_steps=15)
        for name, records in training.end().items():
            check([r["round"] for r in records] == [0, 1, 2, 3], "%s logged rounds %s" % (name, records))
            for r in records[1:]:
                check(r["outcome"] == "member" and r["cohort"] == ["a", "b"], "%s: %s" % (name, r))
                for key in ("inner_loss", "val_loss", "sent_bytes", "exchange_seconds", "waited_seconds"):
                    check(r[key] > 0 or key == "waited_seconds", "%s: %s is %r" % (name, key, r[key]))
            check(len({r["digest"] for r in records}) == 4, "the shared parameters did not change")
            check(records[-1]["val_loss"] < records[0]["val_loss"], "validation loss did not fall")


def test_trainer_killed_and_resumed():
    with Lab("a", "b", wan=WAN, deadline="10s") as lab:
        training = Training(lab, rounds=30, inner_steps=60, checkpoint=True)
        training.until_round("b", 3)
        training.process["b"].kill()
        training.start("b")
        records = training.end()
        with open(training.log["b"]) as f:
            starts = [r for r in map(json.loads, f) if r["type"] == "start"]
        check(len(starts) == 2 and starts[1]["resumed_round"] >= 2, "b did not resume: %s" % starts)
        check(records["b"][-1]["outcome"] == "member", "b did not come back into the cohort")


def test_trainer_killed_without_a_checkpoint():
    with Lab("a", "b", wan=WAN, deadline="10s") as lab:
        training = Training(lab, rounds=30, inner_steps=60)
        training.until_round("b", 3)
        training.process["b"].kill()
        training.start("b")
        outcomes = [r["outcome"] for r in training.end()["b"]]
        check("fetched" in outcomes and outcomes[-1] == "member", "b's outcomes: %s" % outcomes)


def test_coordinators_gxd_killed():
    with Lab("a", "b", wan=WAN, deadline="10s") as lab:
        training = Training(lab, rounds=10, inner_steps=40)
        training.until_round("a", 3)
        lab.sites[0].gxd.kill()
        lab.sites[0].start()
        training.end()


@once
def test_no_gxd():
    with Lab("a", start=False) as lab:
        trains, val = make_tokens(lab.folder, 1)
        done = run([program("gx-train"), "-s", lab.sites[0].socket, "--run", "x", "--data", trains[0], "--val", val])
        check(done.returncode == 3 and lab.sites[0].socket in done.stderr, "%d, %r" % (done.returncode, done.stderr))


@once
def test_bad_token_files():
    with Lab() as lab:
        (train,), val = make_tokens(lab.folder, 1)
        with open(train, "rb") as f:
            good = f.read()
        for name, content in (("truncated", good[:-1001]), ("short", good[:1000]), ("text", b"not tokens " * 200),
                              ("empty", b""), ("version", good[:4] + b"\2\0\0\0" + good[8:])):
            path = lab.path(name)
            with open(path, "wb") as f:
                f.write(content)
            done = run([program("gx-train"), "--data", path, "--val", val, "--rounds", "1", "--inner-steps", "1"])
            check(done.returncode == 1 and path in done.stderr, "%s: %d, %r" % (name, done.returncode, done.stderr))


if __name__ == "__main__":
    sys.exit(gxtest.main(globals()))
