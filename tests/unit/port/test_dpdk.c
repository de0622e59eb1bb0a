/* The port on DPDK devices: on rings, which need nothing, and on af_xdp over veth pairs in a network namespace that goes
 * with this process. The tests of af_xdp skip, and say why, where there is no root or no AF_XDP. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_eth_ring.h>
#include <rte_ethdev.h>

#include "port/clock.h"
#include "port/dpdk.h"
#include "port/eal.h"

#define PAYLOAD 1408u
#define FRAMES 1000000u
#define TRIES 10
#define WAIT_NS (20 * GX_NS_PER_S) /* only a failure takes so long; a loaded machine, seconds */

/* libxdp 1.3 keeps a little of every umem that the driver gives back. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libxdp";
}

static char error[512];
static const char *no_xdp; /* why af_xdp is not tested */
static uint32_t released[1 << 16], released_count;

struct pair {
    struct gx_port *a, *b;
};

static struct pair ring, xdp;
static uint8_t payloads[GX_PORT_BURST][PAYLOAD];

static void on_release(void *ctx, uint32_t owner)
{
    (void)ctx;
    released[owner % (1 << 16)]++;
    released_count++;
}

static struct gx_port *port_open(const char *device, const char *address)
{
    struct gx_port_config config = {
        .device = device, .address = address, .udp_port = 7440, .mtu = 1500};
    struct gx_port *port = NULL;

    if (gx_port_open(&config, &port, error, sizeof(error)))
        fail_msg("%s", error);
    assert_int_equal(gx_port_start(port, on_release, NULL), 0);
    return port;
}

static struct gx_dpdk *dpdk_of(struct gx_port *port)
{
    return (struct gx_dpdk *)(void *)port;
}

static void packet_make(struct gx_packet *packet, struct gx_port *to, uint64_t number,
                        uint8_t *payload, uint32_t bytes)
{
    memset(packet, 0, sizeof(*packet));
    packet->to = to->ops->local(to);
    memcpy(packet->header, &number, sizeof(number));
    packet->payload = payload;
    packet->payload_bytes = bytes;
    packet->owner = (uint32_t)(number % (1 << 16));
}

/* Sends packets until one arrives: then both know each other's MAC. */
static void resolve(struct pair *pair)
{
    struct gx_rx got[GX_PORT_BURST];
    uint64_t end_ns = gx_clock_ns() + WAIT_NS;
    struct gx_packet packet;

    for (int way = 0; way < 2; way++) {
        struct gx_port *from = way ? pair->b : pair->a, *to = way ? pair->a : pair->b;

        for (uint32_t n = 0; !n; usleep(1000)) {
            assert_true(gx_clock_ns() < end_ns);
            packet_make(&packet, to, 0, NULL, 0);
            assert_true(from->ops->room(from) > 0);
            from->ops->tx(from, &packet, 1);
            n = to->ops->rx(to, got, GX_PORT_BURST);
            from->ops->rx(from, got, GX_PORT_BURST);
        }
        while (to->ops->rx(to, got, GX_PORT_BURST))
            ;
    }
    released_count = 0;
    memset(released, 0, sizeof(released));
}

/* ---- rings ---- */

static int ring_setup(void **state)
{
    struct rte_ring *there = rte_ring_create("there", 256, SOCKET_ID_ANY, 0);
    struct rte_ring *back = rte_ring_create("back", 256, SOCKET_ID_ANY, 0);

    (void)state;
    if (rte_eth_from_rings("a", &back, 1, &there, 1, 0) < 0 ||
        rte_eth_from_rings("b", &there, 1, &back, 1, 0) < 0)
        return -1;
    ring.a = port_open("net_ring_a", "10.9.1.1/24");
    ring.b = port_open("net_ring_b", "10.9.1.2/24");
    resolve(&ring);
    return 0;
}

/* The next frame with a payload; what the hosts have to say to each other (ARP) comes whenever it is due. */
static struct rte_mbuf *frame_take(struct gx_port *port)
{
    struct rte_mbuf *mbuf;

    while (rte_eth_rx_burst(dpdk_of(port)->device.port_id, 0, &mbuf, 1) == 1) {
        if (mbuf->nb_segs > 1)
            return mbuf;
        rte_pktmbuf_free(mbuf);
    }
    return NULL;
}

static void a_payload_leaves_as_a_pointer_and_arrives_as_the_same(void **state)
{
    struct gx_port *a = ring.a;
    struct rte_mbuf *mbuf;
    struct gx_packet packet;
    uint64_t copied = a->stats.tx_copied_driver_bytes + a->stats.tx_copied_memory_bytes;
    uint64_t external = a->stats.tx_external_bytes;

    (void)state;
    packet_make(&packet, ring.b, 7, payloads[0], PAYLOAD);
    assert_true(a->ops->room(a) > 0);
    a->ops->tx(a, &packet, 1);
    mbuf = frame_take(ring.b);
    assert_non_null(mbuf);
    assert_int_equal(mbuf->nb_segs, 2);
    assert_ptr_equal(rte_pktmbuf_mtod(mbuf->next, void *), payloads[0]);
    assert_int_equal(mbuf->next->data_len, PAYLOAD);
    assert_int_equal(a->stats.tx_external_bytes - external, PAYLOAD);
    assert_int_equal(a->stats.tx_copied_driver_bytes + a->stats.tx_copied_memory_bytes, copied);
    rte_pktmbuf_free(mbuf);
}

static void an_owner_is_released_when_the_last_reader_is_done(void **state)
{
    struct gx_rx got[GX_PORT_BURST];
    struct rte_mbuf *mbuf;
    struct gx_packet packet;

    (void)state;
    ring.a->ops->rx(ring.a, got, GX_PORT_BURST);
    released[77] = 0;
    packet_make(&packet, ring.b, 77, payloads[0], PAYLOAD);
    assert_true(ring.a->ops->room(ring.a) > 0);
    ring.a->ops->tx(ring.a, &packet, 1);
    ring.a->ops->rx(ring.a, got, GX_PORT_BURST);
    assert_int_equal(released[77], 0);
    mbuf = frame_take(ring.b);
    assert_non_null(mbuf);
    ring.a->ops->rx(ring.a, got, GX_PORT_BURST);
    assert_int_equal(released[77], 0);
    rte_pktmbuf_free(mbuf);
    ring.a->ops->rx(ring.a, got, GX_PORT_BURST);
    assert_int_equal(released[77], 1);
}

static void a_device_that_takes_nothing_is_back_pressure_and_then_loss(void **state)
{
    struct gx_packet packets[GX_PORT_BURST];
    struct gx_rx got[GX_PORT_BURST];
    uint64_t errors = ring.a->stats.tx_errors, end_ns;
    uint32_t sent = 0, room;

    (void)state;
    released_count = 0;
    while ((room = ring.a->ops->room(ring.a)) > 0) {
        for (uint32_t i = 0; i < room; i++)
            packet_make(&packets[i], ring.b, 1, payloads[i], PAYLOAD);
        ring.a->ops->tx(ring.a, packets, room);
        sent += room;
        assert_true(sent <= GX_DPDK_SLOTS);
    }
    assert_true(sent > 200);
    assert_true(ring.a->stats.tx_retries > 0);
    for (end_ns = gx_clock_ns() + WAIT_NS; !ring.a->ops->room(ring.a); usleep(1000)) {
        assert_true(gx_clock_ns() < end_ns);
        ring.a->ops->rx(ring.a, got, GX_PORT_BURST);
    }
    assert_true(ring.a->stats.tx_errors > errors);
    while (ring.b->ops->rx(ring.b, got, GX_PORT_BURST))
        ;
    ring.a->ops->rx(ring.a, got, GX_PORT_BURST);
    assert_int_equal(released_count, sent);
}

/* Caches would hand out the same few buffers again and again; without them the pool is a queue, and all take their turn. */
static void pool_rotate(struct gx_port *port)
{
    struct rte_mempool *pool = dpdk_of(port)->device.pools[0];

    rte_mempool_cache_flush(rte_mempool_default_cache(pool, rte_lcore_id()), pool);
}

/* `count` packets from a to b, each checked in all bytes; returns how many arrived. */
static uint64_t cycle(struct pair *pair, uint64_t count)
{
    struct gx_packet packets[GX_PORT_BURST];
    struct gx_rx got[GX_PORT_BURST];
    uint64_t sent = 0, arrived = 0, heard_ns = gx_clock_ns();

    while (arrived < count && gx_clock_ns() - heard_ns < WAIT_NS) {
        uint32_t room = pair->a->ops->room(pair->a), n = 0;

        /* Never more under way than the receiver's ring holds: what is missing then was lost by a port. */
        for (; n < room && n < 32 && sent + n < count && sent + n < arrived + 1000; n++) {
            memset(payloads[n], (int)((sent + n) * 31), PAYLOAD);
            packet_make(&packets[n], pair->b, sent + n, payloads[n], PAYLOAD);
        }
        if (n)
            pair->a->ops->tx(pair->a, packets, n);
        sent += n;
        pool_rotate(pair->a);
        pool_rotate(pair->b);
        pair->a->ops->rx(pair->a, got, GX_PORT_BURST);
        n = pair->b->ops->rx(pair->b, got, GX_PORT_BURST);
        for (uint32_t i = 0; i < n; i++) {
            uint64_t number;

            memcpy(&number, got[i].bytes, sizeof(number));
            if (number != arrived || got[i].byte_count != GX_HEADER_BYTES + PAYLOAD ||
                got[i].bytes[GX_HEADER_BYTES] != (uint8_t)(number * 31) ||
                memcmp(got[i].bytes + GX_HEADER_BYTES, got[i].bytes + GX_HEADER_BYTES + 1,
                       PAYLOAD - 1) != 0)
                return arrived;
            arrived++;
        }
        if (n)
            heard_ns = gx_clock_ns();
    }
    return arrived;
}

static void frames_of_two_pieces_are_received_whole(void **state)
{
    uint64_t copied = ring.b->stats.rx_copied_bytes;

    (void)state;
    /* A payload may change only after its release: here the ring is emptied before that. */
    for (int i = 0; i < 200; i++) {
        assert_int_equal(cycle(&ring, 1), 1);
    }
    assert_true(ring.b->stats.rx_copied_bytes - copied >= 200 * PAYLOAD);
}

/* A NIC reads only memory that it was told of; here a ring stands for one. */
static void memory_unknown_to_a_nic_is_copied_and_counted_so(void **state)
{
    struct gx_dpdk *a = dpdk_of(ring.a);
    uint64_t copied = ring.a->stats.tx_copied_memory_bytes;
    uint64_t external = ring.a->stats.tx_external_bytes;

    (void)state;
    a->device.registered = true;
    assert_int_equal(cycle(&ring, 1), 1);
    assert_int_equal(ring.a->stats.tx_copied_memory_bytes - copied, PAYLOAD);
    assert_int_equal(ring.a->stats.tx_external_bytes, external);
    a->regions[3].base = (uintptr_t)payloads;
    a->regions[3].bytes = PAYLOAD - 1;
    assert_int_equal(cycle(&ring, 1), 1);
    assert_int_equal(ring.a->stats.tx_copied_memory_bytes - copied, 2 * PAYLOAD);
    a->regions[3].bytes = sizeof(payloads);
    assert_int_equal(cycle(&ring, 1), 1);
    assert_int_equal(ring.a->stats.tx_external_bytes - external, PAYLOAD);
    a->regions[3].bytes = 0;
    a->device.registered = false;
}

static void an_exhausted_pool_is_back_pressure_until_buffers_come_back(void **state)
{
    struct rte_mempool *pool = dpdk_of(ring.a)->device.pools[0];
    struct rte_mbuf **all = calloc(pool->size, sizeof(all[0]));
    uint64_t empty = ring.a->stats.pool_empty;
    uint32_t count = 0, room;

    (void)state;
    assert_non_null(all);
    while (count < pool->size && (all[count] = rte_pktmbuf_alloc(pool)))
        count++;
    /* What was promised before may still be sent; then there is no more room. */
    for (int i = 0; (room = ring.a->ops->room(ring.a)) > 0; i++) {
        struct gx_rx got[GX_PORT_BURST];
        struct gx_packet packet;

        assert_true(i < 4 * GX_PORT_BURST);
        packet_make(&packet, ring.b, 1, NULL, 0);
        ring.a->ops->tx(ring.a, &packet, 1);
        /* b copies nothing of one piece: the buffer stays b's until its next rx. */
        ring.b->ops->rx(ring.b, got, GX_PORT_BURST);
        while (count < pool->size && (all[count] = rte_pktmbuf_alloc(pool)))
            count++;
    }
    assert_true(ring.a->stats.pool_empty > empty);
    rte_pktmbuf_free_bulk(all, count);
    free(all);
    assert_true(ring.a->ops->room(ring.a) > 0);
    assert_int_equal(cycle(&ring, 100), 100);
}

/* ---- af_xdp ---- */

static int shell(const char *command)
{
    int status = system(command);

    if (status)
        fprintf(stderr, "%s: failed\n", command);
    return status;
}

static const char *xdp_prepare(void)
{
    int fd;

    if (geteuid() != 0)
        return "af_xdp needs root";
    fd = socket(AF_XDP, SOCK_RAW, 0);
    if (fd < 0)
        return "this kernel has no AF_XDP sockets";
    close(fd);
    if (unshare(CLONE_NEWNET))
        return "no new network namespace is permitted here";
    /* Whatever the kernel says by itself on a new interface is not of these tests. */
    shell("if cd /proc/sys/net/ipv6/conf 2>/dev/null; then "
          "echo 1 >default/disable_ipv6; echo 1 >all/disable_ipv6; fi");
    if (shell(
            "ip link set lo up && ip link add gx0 type veth peer name gx1 && ip link set gx0 up && "
            "ip link set gx1 up && ip link add gx2 type veth peer name gx3 && ip link set gx2 up "
            "&& "
            "ip link set gx3 up && ip addr add 10.9.3.2/24 dev gx3"))
        return "iproute2 cannot make a veth pair";
    return NULL;
}

static int xdp_setup(void **state)
{
    (void)state;
    if (no_xdp)
        return 0;
    xdp.a = port_open("net_af_xdp0,iface=gx0", "10.9.2.1/24");
    xdp.b = port_open("net_af_xdp1,iface=gx1", "10.9.2.2/24");
    resolve(&xdp);
    return 0;
}

static void need_xdp(void)
{
    if (!no_xdp)
        return;
    print_message("skipped: %s\n", no_xdp);
    skip();
}

/* The pool has some 8,000 buffers: each carries a frame more than a hundred times. */
static void a_million_frames_cycle_the_whole_pool_and_none_is_lost(void **state)
{
    (void)state;
    need_xdp();
    assert_int_equal(cycle(&xdp, FRAMES), FRAMES);
    assert_int_equal(dpdk_of(xdp.b)->device.withheld, 0);
}

static void what_is_copied_is_counted_with_its_reason(void **state)
{
    uint64_t before;

    (void)state;
    need_xdp();
    before = xdp.a->stats.tx_copied_driver_bytes;
    assert_int_equal(cycle(&xdp, 100), 100);
    assert_int_equal(xdp.a->stats.tx_copied_driver_bytes - before, 100 * PAYLOAD);
    assert_int_equal(xdp.a->stats.tx_external_bytes, 0);
}

/* Sleeps, at most `longest_ns`, until the kernel beside b has sent nothing of its own (the multicast
 * of a fresh interface) for that long. */
static bool sleeps_through(uint64_t longest_ns, int tries)
{
    struct gx_rx got[GX_PORT_BURST];

    while (tries--) {
        uint64_t start_ns = gx_clock_ns();

        xdp.b->ops->sleep(xdp.b, start_ns + longest_ns);
        if (gx_clock_ns() - start_ns >= longest_ns - GX_NS_PER_MS)
            return true;
        while (xdp.b->ops->rx(xdp.b, got, GX_PORT_BURST))
            ;
    }
    return false;
}

static void a_packet_ends_a_sleep(void **state)
{
    struct gx_rx got[GX_PORT_BURST];
    struct gx_packet packet;
    uint64_t start_ns, end_ns;
    uint32_t count = 0;

    (void)state;
    need_xdp();
    while (xdp.b->ops->rx(xdp.b, got, GX_PORT_BURST))
        ;
    assert_true(sleeps_through(50 * GX_NS_PER_MS, 200));
    packet_make(&packet, xdp.b, 0, payloads[0], PAYLOAD);
    assert_true(xdp.a->ops->room(xdp.a) > 0);
    start_ns = gx_clock_ns();
    xdp.a->ops->tx(xdp.a, &packet, 1);
    for (end_ns = start_ns + WAIT_NS; !count && gx_clock_ns() < end_ns;) {
        xdp.b->ops->sleep(xdp.b, end_ns + WAIT_NS);
        count = xdp.b->ops->rx(xdp.b, got, GX_PORT_BURST);
    }
    assert_int_equal(count, 1);
}

static void a_packet_does_not_end_a_nap_but_a_watched_eventfd_does(void **state)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct gx_rx got[GX_PORT_BURST];
    struct gx_packet packet;
    uint64_t start_ns;

    (void)state;
    need_xdp();
    assert_int_equal(xdp.b->ops->watch(xdp.b, fd), 0);
    assert_true(sleeps_through(50 * GX_NS_PER_MS, 200));
    packet_make(&packet, xdp.b, 0, payloads[0], PAYLOAD);
    assert_true(xdp.a->ops->room(xdp.a) > 0);
    xdp.a->ops->tx(xdp.a, &packet, 1);
    start_ns = gx_clock_ns();
    xdp.b->ops->nap(xdp.b, start_ns + 20 * GX_NS_PER_MS);
    assert_true(gx_clock_ns() >= start_ns + 19 * GX_NS_PER_MS);
    assert_int_equal(xdp.b->ops->rx(xdp.b, got, GX_PORT_BURST), 1);
    assert_int_equal(xdp.b->ops->rx(xdp.b, got, GX_PORT_BURST), 0);
    assert_int_equal(eventfd_write(fd, 1), 0);
    start_ns = gx_clock_ns();
    xdp.b->ops->nap(xdp.b, start_ns + WAIT_NS);
    assert_true(gx_clock_ns() < start_ns + WAIT_NS / 2);
    xdp.b->ops->unwatch(xdp.b, fd);
    close(fd);
}

static void a_link_that_goes_down_and_up_is_seen_and_survived(void **state)
{
    struct gx_rx got[GX_PORT_BURST];
    uint64_t end_ns = gx_clock_ns() + WAIT_NS;

    (void)state;
    need_xdp();
    assert_int_equal(shell("ip link set gx1 down"), 0);
    for (; !xdp.a->stats.link_down; usleep(10000)) {
        assert_true(gx_clock_ns() < end_ns);
        xdp.a->ops->rx(xdp.a, got, GX_PORT_BURST);
    }
    assert_int_equal(xdp.a->stats.link_downs, 1);
    assert_int_equal(shell("ip link set gx1 up"), 0);
    for (; xdp.a->stats.link_down || xdp.b->stats.link_down; usleep(10000)) {
        assert_true(gx_clock_ns() < end_ns);
        xdp.a->ops->rx(xdp.a, got, GX_PORT_BURST);
        xdp.b->ops->rx(xdp.b, got, GX_PORT_BURST);
    }
    resolve(&xdp);
    assert_int_equal(cycle(&xdp, 1000), 1000);
}

static uint16_t icmp_sum(const void *bytes, size_t count)
{
    const uint16_t *words = bytes;
    uint32_t sum = 0;

    for (size_t i = 0; i < count / 2; i++)
        sum += words[i];
    sum = (sum >> 16) + (sum & 0xffff);
    return (uint16_t) ~(sum + (sum >> 16));
}

/* The kernel asks by ARP and pings. */
static void the_kernel_finds_us_and_our_echo(void **state)
{
    struct gx_port *port;
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct icmphdr echo = {.type = ICMP_ECHO, .un.echo = {.id = 1, .sequence = 2}};
    uint64_t end_ns = gx_clock_ns() + WAIT_NS;
    uint8_t reply[128];
    int fd;

    (void)state;
    need_xdp();
    port = port_open("net_af_xdp2,iface=gx2", "10.9.3.1/24");
    fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    assert_true(fd >= 0);
    inet_pton(AF_INET, "10.9.3.1", &to.sin_addr);
    echo.checksum = icmp_sum(&echo, sizeof(echo));
    assert_int_equal(sendto(fd, &echo, sizeof(echo), 0, (struct sockaddr *)(void *)&to, sizeof(to)),
                     sizeof(echo));
    for (;;) {
        struct gx_rx got[GX_PORT_BURST];
        ssize_t n;

        assert_true(gx_clock_ns() < end_ns);
        port->ops->rx(port, got, GX_PORT_BURST);
        n = recv(fd, reply, sizeof(reply), MSG_DONTWAIT);
        if (n >= 28 && reply[20] == ICMP_ECHOREPLY)
            break;
    }
    assert_memory_equal(reply + 24, &echo.un.echo, 4);
    assert_int_equal(dpdk_of(port)->host.counts.echo, 1);
    assert_true(dpdk_of(port)->host.counts.answered >= 1);
    close(fd);
    port->ops->close(port);
}

static void a_wrong_interface_is_named(void **state)
{
    struct gx_port_config config = {
        .device = "net_af_xdp7,iface=gx77", .address = "10.9.2.1/24", .udp_port = 1};
    struct gx_port *port;

    (void)state;
    assert_int_equal(gx_port_open(&config, &port, error, sizeof(error)), -ENODEV);
    assert_non_null(strstr(error, "there is no interface 'gx77'"));
    config.device = "net_af_xdp7";
    assert_int_equal(gx_port_open(&config, &port, error, sizeof(error)), -EINVAL);
    assert_non_null(strstr(error, "iface="));
}

/* EAL would take every NIC that is not named from the kernel. */
static void only_a_whole_pci_address_is_one(void **state)
{
    (void)state;
    assert_true(gx_eal_is_pci("0000:01:00.0"));
    assert_true(gx_eal_is_pci("0000:af:1d.7,key=value"));
    assert_false(gx_eal_is_pci("eth0"));
    assert_false(gx_eal_is_pci("01:00.0"));
    assert_false(gx_eal_is_pci("0000:01:00.01"));
    assert_false(gx_eal_is_pci("0000:01:00"));
    assert_false(gx_eal_is_pci("net_af_xdp0,iface=eth0"));
    assert_false(gx_eal_is_pci(""));
}

static void an_mtu_above_the_devices_is_refused(void **state)
{
    struct gx_port_config config = {
        .device = "net_af_packet7,iface=lo", .address = "10.9.2.1/24", .udp_port = 1, .mtu = 9000};
    struct gx_port *port;

    (void)state;
    need_xdp();
    config.device = "net_af_packet7,iface=gx3";
    assert_int_equal(gx_port_open(&config, &port, error, sizeof(error)), -EINVAL);
    assert_non_null(strstr(error, "set `mtu: 1500`, or raise that of interface gx3"));
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct pair *pair = i ? &xdp : &ring;

        if (pair->a)
            pair->a->ops->close(pair->a);
        if (pair->b)
            pair->b->ops->close(pair->b);
    }
    gx_eal_fini();
    return 0;
}

static int setup(void **state)
{
    return ring_setup(state) || xdp_setup(state);
}

/* EAL starts once in a process: where others took the huge pages that it had counted, this program begins anew. */
static void eal_start(char **argv)
{
    struct gx_eal_config config = {.program = "test_dpdk", .memory_mib = 256};
    const char *text = getenv("GX_TEST_DPDK_TRIES");
    int tries = text ? atoi(text) : 0, ret = gx_eal_init(&config, error, sizeof(error));

    if (!ret)
        return;
    if (ret != -ENOMEM || tries == TRIES) {
        printf("%s\n", error);
        exit(ret == -ENOMEM ? 77 : 1);
    }
    snprintf(error, sizeof(error), "%d", tries + 1);
    setenv("GX_TEST_DPDK_TRIES", error, 1);
    usleep(300000);
    execv("/proc/self/exe", argv);
    exit(1);
}

int main(int argc, char **argv)
{
    (void)argc;
    no_xdp = xdp_prepare();
    eal_start(argv);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_payload_leaves_as_a_pointer_and_arrives_as_the_same),
        cmocka_unit_test(an_owner_is_released_when_the_last_reader_is_done),
        cmocka_unit_test(a_device_that_takes_nothing_is_back_pressure_and_then_loss),
        cmocka_unit_test(frames_of_two_pieces_are_received_whole),
        cmocka_unit_test(memory_unknown_to_a_nic_is_copied_and_counted_so),
        cmocka_unit_test(an_exhausted_pool_is_back_pressure_until_buffers_come_back),
        cmocka_unit_test(a_million_frames_cycle_the_whole_pool_and_none_is_lost),
        cmocka_unit_test(what_is_copied_is_counted_with_its_reason),
        cmocka_unit_test(a_packet_ends_a_sleep),
        cmocka_unit_test(a_packet_does_not_end_a_nap_but_a_watched_eventfd_does),
        cmocka_unit_test(a_link_that_goes_down_and_up_is_seen_and_survived),
        cmocka_unit_test(the_kernel_finds_us_and_our_echo),
        cmocka_unit_test(a_wrong_interface_is_named),
        cmocka_unit_test(only_a_whole_pci_address_is_one),
        cmocka_unit_test(an_mtu_above_the_devices_is_refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
