"""What gx is compared with, each on a link of its own: TCP by iperf3, SRT, UDT, uftp. A contender is a function of a Cell
that gives a Result; it raises gxtest.Skip where its program is not installed."""
import contextlib
import json
import os
import re
import shutil
import struct
import subprocess
import threading
import time

import gxtest
from link import CpuMeter, Link, ROOT, monotonic

SECONDS_MAX = float(os.environ.get("SECONDS_MAX", "10"))
PORT = 5300
SRT_CHUNK = 1440
SRT_CHUNKS_MORE = 400  # behind the last byte that is waited for, to drive it out of the programs' buffers
SRT_HEADERS = 44  # what its maxbw counts besides the payload: IPv4, UDP, SRT
ETHERNET = 14
MEDIANS = ("TCP BBR, 1 connection", "TCP CUBIC, 1 connection")


class Result:
    """seconds until all bytes had arrived, None: not within SECONDS_MAX; `projected`: they have not, but would at the pace until
    then. cpu_s: of both ends' processes."""

    def __init__(self, seconds, cpu_s=None, note="", projected=False):
        self.seconds, self.cpu_s, self.note, self.projected = seconds, cpu_s, note, projected
        self.load, self.runs = 0, 1


def need(program, package):
    if not shutil.which(program):
        raise gxtest.Skip("`%s` is not installed (%s)" % (program, package))


# ---- TCP ----


def tcp_received(link, name):
    """Bytes that TCP has received at a site's iperf3 server, of the connections that are open."""
    done = gxtest.run(link.net.command(name, ["ss", "-Htin", "sport", "=", ":5201"]))
    return sum(int(n) for n in re.findall(r"bytes_received:(\d+)", done.stdout))


def tcp(algorithm, connections):
    """iperf3's clock starts when its connections are up."""

    def run(cell):
        need("iperf3", "iperf3")
        with Link(*cell.law()) as link:
            link.meet()
            server = link.start("server", "b", ["iperf3", "-s", "-1", "--forceflush"])
            gxtest.wait_until(lambda: "listening" in server.out(), "iperf3 server", 10)
            client = link.start("client", "a", [
                "iperf3", "-c", link.net.address("b"), "--json", "-n", str(cell.size), "-C", algorithm,
                "-P", str(connections)])
            cpu = CpuMeter(server.pid, client.pid)
            try:
                client.wait(SECONDS_MAX + 2)
            except AssertionError:
                got = tcp_received(link, "b")
                return Result((SECONDS_MAX + 2) * cell.size / got if got else None, projected=True)
            finally:
                cpu_s = cpu.stop()
            report = json.loads(client.out())
        if "error" in report:
            raise gxtest.Skip("iperf3: " + report["error"])
        got = report["end"]["sum_received"]
        # It ends when it has sent enough: of many connections' last bytes it does not wait for all.
        return Result(got["seconds"] * cell.size / got["bytes"], cpu_s)

    return run


# ---- SRT ----


class Pump(threading.Thread):
    """Writes numbered chunks into a process, which is then left running: its end would cut off what it has not sent."""

    def __init__(self, pipe, count):
        super().__init__(daemon=True)
        self.pipe, self.count = pipe, count

    def run(self):
        rest = b"g" * (SRT_CHUNK - 8)
        try:
            for i in range(self.count):
                self.pipe.write(struct.pack("<Q", i) + rest)
            self.pipe.flush()
        except (OSError, ValueError):
            pass


class Sink(threading.Thread):
    """Reads numbered chunks until all up to `last` are there, or what was written far behind them is: srt-live-transmit
    loses some of what it cannot send at once. When the last of them came, and how many never did."""

    def __init__(self, pipe, last):
        super().__init__(daemon=True)
        self.pipe, self.last = pipe, last
        self.ended, self.missing = None, None
        self.start()

    def run(self):
        buffer, got, number, latest = b"", 0, -1, None
        while got <= self.last and number < self.last + SRT_CHUNKS_MORE // 2:
            data = os.read(self.pipe.fileno(), 1 << 16)
            if not data:
                return
            buffer += data
            for at in range(0, len(buffer) - SRT_CHUNK + 1, SRT_CHUNK):
                number = struct.unpack_from("<Q", buffer, at)[0]
                if number <= self.last:
                    got, latest = got + 1, monotonic()
            buffer = buffer[len(buffer) // SRT_CHUNK * SRT_CHUNK:]
        self.missing = self.last + 1 - got
        self.ended = latest


def piped(link, name, space, argv):
    """As link.start(), with its stdin and stdout as pipes."""
    with open(link.path(name + ".err"), "wb") as err:
        return subprocess.Popen(link.net.command(space, argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err,
                                start_new_session=True, preexec_fn=gxtest._child)


def end(process):
    process.kill()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            pipe.close()
    process.wait()


def srt(fec):
    """srt-live-transmit at the link's rate, from the first byte written to the sender to the last out of the receiver. Without
    FEC in file mode. FEC exists in live mode only: latency four round trips, as its makers advise; what comes later is dropped
    (with tlpktdrop=0 version 1.5.1 stalls at the first loss that it repairs late)."""

    def run(cell):
        need("srt-live-transmit", "srt-tools")
        frame = SRT_CHUNK + SRT_HEADERS + ETHERNET
        options = {"payloadsize": SRT_CHUNK, "fc": 60000, "sndbuf": 64 << 20, "rcvbuf": 64 << 20,
                   "maxbw": int(cell.rate_bps / 8 * (frame - ETHERNET) / frame)}
        if fec:
            options.update(latency=round(8e3 * cell.delay_s), packetfilter="fec,cols:10,rows:10,layout:staircase,arq:onreq")
        else:
            options = {"transtype": "file", "messageapi": 1, **options}
        query = "&".join("%s=%s" % pair for pair in options.items())
        chunks = -(-cell.size // SRT_CHUNK)
        with Link(*cell.law()) as link:
            link.meet()
            base = ["srt-live-transmit", "-q", "-a", "no", "-buffering", "10", "-c", str(SRT_CHUNK)]
            receiver = piped(link, "receiver", "b", [*base, "srt://:%d?mode=listener&%s" % (PORT, query), "file://con"])
            sender = piped(link, "sender", "a", [*base, "file://con", "srt://%s:%d?mode=caller&%s" % (
                link.net.address("b"), PORT, query)])
            try:
                time.sleep(1 + 8 * cell.delay_s)  # connected
                if sender.poll() is not None or receiver.poll() is not None:
                    with open(link.path("sender.err")) as f:
                        raise gxtest.Skip("srt-live-transmit: " + (f.read().strip() or "ended"))
                cpu = CpuMeter(receiver.pid, sender.pid)
                sink = Sink(receiver.stdout, chunks - 1)
                begun = monotonic()
                Pump(sender.stdin, chunks + SRT_CHUNKS_MORE).start()
                sink.join(SECONDS_MAX)
                cpu_s = cpu.stop()
            finally:
                end(sender)
                end(receiver)
        if sink.ended is None:
            return Result(None)
        return Result(sink.ended - begun, cpu_s, "%.2g%% never came" % (100 * sink.missing / chunks) if sink.missing else "")

    return run


# ---- UDT ----


def udt(folder):
    """tests/bench/udt.cpp on Debian's libudt, compiled into `folder` when it is first needed."""

    def run(cell):
        program = os.path.join(folder, "udt")
        if not os.path.exists("/usr/include/udt/udt.h"):
            raise gxtest.Skip("libudt is not installed (libudt-dev)")
        need("g++", "g++")
        if not os.path.exists(program):
            done = gxtest.run(["g++", "-O2", "-o", program, os.path.join(ROOT, "tests/bench/udt.cpp"), "-ludt", "-lpthread"])
            if done.returncode != 0:
                raise gxtest.Skip("udt.cpp does not compile: " + done.stderr.strip())
        with Link(*cell.law()) as link:
            link.meet()
            receiver = link.start("receiver", "b", [program, "receive", str(PORT), str(cell.size)])
            gxtest.wait_until(lambda: "listening" in receiver.out(), "UDT receiver", 10)
            sender = link.start("sender", "a", [program, "send", link.net.address("b"), str(PORT), str(cell.size),
                                                str(cell.rate_bps // 8 // 10**6)])
            cpu = CpuMeter(receiver.pid, sender.pid)
            try:
                if receiver.wait(SECONDS_MAX + 2) != 0:
                    raise gxtest.Skip("udt: " + receiver.err().strip())
            except AssertionError:
                return Result(None)
            finally:
                cpu_s = cpu.stop()
            return Result(float(receiver.out().split()[-1]), cpu_s)

    return run


# ---- uftp ----


def uftp(cell):
    """At a fixed rate, without congestion control, one receiver by its own address. The clock is the sender's, of the file:
    announcement and registration are not in it."""
    need("uftp", "uftp")
    need("uftpd", "uftp")
    frame_bytes, block_bytes = 1390, 1300
    kbps = int(cell.rate_bps / 1000 * block_bytes / frame_bytes * 0.98)
    with Link(*cell.law()) as link:
        link.meet()
        os.mkdir(link.path("in"))
        with open(link.path("file"), "wb") as f:
            f.write(os.urandom(cell.size))
        receiver = link.start("receiver", "b", ["uftpd", "-d", "-D", link.path("in"), "-B", "16777216", "-I", "eth0"])
        time.sleep(0.5)
        rtt = max(0.01, 2 * cell.delay_s)
        sender = link.start("sender", "a", [
            "uftp", "-R", str(kbps), "-C", "none", "-b", str(block_bytes), "-B", "16777216", "-r", "%g:%g:%g" % (rtt, rtt, 4 * rtt),
            "-I", "eth0", "-M", link.net.address("b"), link.path("file")])
        cpu = CpuMeter(receiver.pid, sender.pid)
        try:
            sender.wait(SECONDS_MAX + 15)
        except AssertionError:
            return Result(None)
        finally:
            cpu_s = cpu.stop()
        text = sender.err() + sender.out()
        arrived = link.path("in/file")
        if not os.path.exists(arrived) or os.path.getsize(arrived) != cell.size:
            raise gxtest.Skip("uftp: the file did not arrive whole: %s" % text.strip().splitlines()[-1:])
    return Result(elapsed_of(text), cpu_s)


def elapsed_of(text):
    for line in text.splitlines():
        if "elapsed time" in line.lower():
            words = line.lower().split("elapsed time:")[1].split()
            return float(words[0])
    raise gxtest.Skip("uftp does not say how long it took")


def contenders(folder):
    """(name, function), in the order of the report."""
    return [("TCP BBR, 1 connection", tcp("bbr", 1)), ("TCP BBR, 8", tcp("bbr", 8)),
            ("TCP CUBIC, 1 connection", tcp("cubic", 1)), ("TCP CUBIC, 8", tcp("cubic", 8)),
            ("SRT", srt(False)), ("SRT, FEC 10×10", srt(True)), ("UDT", udt(folder)), ("uftp", uftp)]
