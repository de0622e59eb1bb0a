/* Ports alone, without a core above them, on af_xdp and on kernel UDP: how soon a sleeper has a packet, what it costs to sleep,
 * and how many packets a second one thread sends and another receives. In a network namespace that goes with this process. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "port/clock.h"
#include "port/eal.h"
#include "port/port.h"

#define SAMPLES 2000u
#define PAYLOAD 1408u
#define FLOOD_NS (3 * GX_NS_PER_S)
#define SKIP 77

static struct gx_port *a, *b;
static struct gx_addr address_b;
static uint8_t payload[PAYLOAD];
static double samples_us[SAMPLES];
static uint32_t sample_count;
static atomic_bool flooding, stop;
static _Atomic uint64_t received;
static double receiver_cpu;

static void on_release(void *ctx, uint32_t owner)
{
    (void)ctx;
    (void)owner;
}

static void die(const char *text)
{
    fprintf(stderr, "%s\n", text);
    exit(1);
}

/* `device` "": kernel UDP. */
static struct gx_port *port_open(const char *device, const char *address)
{
    struct gx_port_config config = {
        .device = device, .address = address, .udp_port = 7440, .mtu = 1500};
    struct gx_port *port;
    char error[512];

    if (gx_port_open(&config, &port, error, sizeof(error)))
        die(error);
    return port;
}

static double cpu_s(void)
{
    struct timespec used;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static void *receiver(void *ctx)
{
    struct gx_rx got[GX_PORT_BURST];
    double start_s;

    (void)ctx;
    prctl(PR_SET_TIMERSLACK, 1);
    if (gx_port_start(b, on_release, NULL))
        die("the receiver's port does not start");
    start_s = cpu_s();
    while (!stop) {
        uint32_t n = b->ops->rx(b, got, GX_PORT_BURST);
        uint64_t now = gx_clock_ns(), sent_ns;

        received += n;
        for (uint32_t i = 0; i < n && !flooding; i++) {
            memcpy(&sent_ns, got[i].bytes, sizeof(sent_ns));
            if (sent_ns && sample_count < SAMPLES)
                samples_us[sample_count++] = (double)(now - sent_ns) / 1e3;
        }
        if (!n)
            b->ops->sleep(b, now + 100 * GX_NS_PER_MS);
        if (sample_count == SAMPLES && receiver_cpu <= 0)
            receiver_cpu = cpu_s() - start_s;
    }
    return NULL;
}

static void port_send(uint32_t count, bool stamped)
{
    struct gx_packet packets[GX_PORT_BURST];
    struct gx_rx got[GX_PORT_BURST];
    uint32_t room = a->ops->room(a);

    for (uint32_t i = 0; i < count && i < room; i++) {
        uint64_t now = stamped ? gx_clock_ns() : 0;

        memset(&packets[i], 0, sizeof(packets[i]));
        packets[i].to = address_b;
        memcpy(packets[i].header, &now, sizeof(now));
        packets[i].payload = payload;
        packets[i].payload_bytes = PAYLOAD;
    }
    a->ops->tx(a, packets, count < room ? count : room);
    a->ops->rx(a, got, GX_PORT_BURST);
}

static int compare(const void *x, const void *y)
{
    double d = *(const double *)x - *(const double *)y;

    return d < 0 ? -1 : d > 0;
}

static void namespace_make(void)
{
    int fd = socket(44, SOCK_RAW, 0); /* AF_XDP */

    if (geteuid() != 0 || fd < 0 || unshare(CLONE_NEWNET) ||
        system("ip link add gx0 type veth peer name gx1 && ip link set gx0 up && ip link set gx1 "
               "up && ip link set lo up")) {
        puts("skip: af_xdp on veth needs root, AF_XDP and iproute2");
        exit(SKIP);
    }
    close(fd);
}

static void wake(const char *name)
{
    for (uint32_t i = 0; i < 20 * SAMPLES && sample_count < SAMPLES; i++) {
        usleep(1000);
        port_send(1, true);
    }
    if (sample_count < SAMPLES)
        die("packets were lost");
    qsort(samples_us, SAMPLES, sizeof(samples_us[0]), compare);
    printf("%s: a sleeper has a packet p50 %.1f us, p90 %.1f us, p99 %.1f us after its send began; "
           "its CPU at 1,000 wakes a second: %.1f%%\n",
           name, samples_us[SAMPLES / 2], samples_us[SAMPLES * 9 / 10],
           samples_us[SAMPLES * 99 / 100], 100 * receiver_cpu / (SAMPLES / 1000.0));
}

static void flood(const char *name)
{
    uint64_t before = received, sent = a->stats.tx_packets, end_ns;

    flooding = true;
    for (end_ns = gx_clock_ns() + FLOOD_NS; gx_clock_ns() < end_ns;)
        port_send(GX_PORT_BURST, false);
    usleep(100000);
    printf("%s: flood of %u-byte frames: sent %.0f, received %.0f a second, %.2f Gbit/s (two "
           "threads, one sends all it can)\n",
           name, PAYLOAD + 90, (double)(a->stats.tx_packets - sent) / 3,
           (double)(received - before) / 3,
           (double)(received - before) / 3 * (PAYLOAD + 90) * 8 / 1e9);
    flooding = false;
}

static void measure(const char *name, const char *device_a, const char *text_a,
                    const char *device_b, const char *text_b)
{
    pthread_t thread;

    a = port_open(device_a, text_a);
    b = port_open(device_b, text_b);
    address_b = b->ops->local(b);
    stop = false;
    received = sample_count = 0;
    receiver_cpu = 0;
    if (gx_port_start(a, on_release, NULL) || pthread_create(&thread, NULL, receiver, NULL))
        die("the sender's port does not start");
    while (!received)
        port_send(1, false), usleep(10000);
    wake(name);
    flood(name);
    stop = true;
    pthread_join(thread, NULL);
    a->ops->close(a);
    b->ops->close(b);
}

int main(void)
{
    struct gx_eal_config eal = {.program = "bench", .memory_mib = 128};
    char error[512];

    namespace_make();
    if (gx_eal_init(&eal, error, sizeof(error)))
        die(error);
    measure("af_xdp", "net_af_xdp0,iface=gx0", "10.9.0.1/24", "net_af_xdp1,iface=gx1",
            "10.9.0.2/24");
    measure("udp", "", "127.0.0.1:7440", "", "127.0.0.1:7441");
    gx_eal_fini();
    return 0;
}
