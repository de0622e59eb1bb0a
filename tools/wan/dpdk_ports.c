#include "wan/dpdk_ports.h"

#include "port/device.h"
#include "port/eal.h"
#include "wan/mac.h"
#include "wan/packetlog.h"

#include <errno.h>
#include <inttypes.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <string.h>

#define BATCH 64
#define BATCHES_MAX 8 /* from one port, before the others and the deliveries get their turn */
#define BREATH_NS 50000
#define NAP_NS 100000 /* of ports that cannot wake us: also the most that a frame waits */
#define TX_DESCRIPTORS 512
#define MEMORY_MORE_MIB 32
#define TRIES_MAX 16 /* of a full transmit ring, which the driver empties as it is called */
#define ETHERNET_SOURCE 6

struct dpdk_port {
    struct gx_device device;
    struct gx_wan_packet *out[BATCH];
    uint32_t out_count;
    bool open;
};

/* One bridge a process: [port], as network->polls. */
static struct {
    struct dpdk_port ports[GX_WAN_PORTS_MAX];
    struct gx_wan_mac mac;
    uint64_t flooded_packets; /* left by all other ports: group addresses, and what is not learnt */
    uint64_t local_packets;   /* for an address at the port where they came in: dropped */
    uint8_t received[GX_WAN_PACKET_BYTES_MAX]; /* a frame of several segments, put together */
} bridge;

/* ---- open and close ---- */

static int refuse(const char *error, int rc)
{
    fprintf(stderr, "gx-wan: %s\n", error);
    return rc;
}

static int open_port(struct gx_wan_network *network, uint32_t p,
                     const struct gx_device_config *config)
{
    struct dpdk_port *port = &bridge.ports[p];
    char error[512];

    int rc = gx_device_open(&port->device, config, error, sizeof(error));
    if (rc != 0)
        return refuse(error, rc);
    port->open = true;
    rc = gx_device_start(&port->device, error, sizeof(error));
    if (rc != 0)
        return refuse(error, rc);
    /* Frames are for the sites behind us. A virtual device without this mode takes them anyway. */
    rte_eth_promiscuous_enable(port->device.port_id);
    network->polls[p].fd = port->device.wake_fds[0];
    network->polls[p].events = POLLIN;
    network->poll_count++;
    if (port->device.wake_fds[0] < 0)
        network->nap_ns_max = NAP_NS;
    return 0;
}

static int dpdk_open(struct gx_wan_network *network)
{
    const struct gx_wan_options *options = &network->options;
    struct gx_device_config config = {.queue_count = 1, .tx_descriptors = TX_DESCRIPTORS};
    /* The huge pages are for those that are measured; and whoever takes what EAL has seen free ends its process. A NIC
     * may need them. */
    struct gx_eal_config eal = {
        .program = "gx-wan", .memory_mib = MEMORY_MORE_MIB, .extra = "--no-huge"};
    const char *devices[GX_WAN_PORTS_MAX];
    char error[512];

    eal.devices = devices;
    eal.device_count = options->port_count;
    for (uint32_t p = 0; p < options->port_count; p++) {
        config.device = options->ports[p].device;
        eal.memory_mib += gx_device_memory_mib(&config);
        devices[p] = config.device;
        if (gx_eal_is_pci(config.device))
            eal.extra = NULL;
    }
    int rc = gx_eal_init(&eal, error, sizeof(error));
    if (rc != 0)
        return refuse(error, rc);
    rc = gx_eal_thread();
    if (rc != 0)
        return refuse("DPDK gives this thread no lcore", rc);
    for (uint32_t p = 0; rc == 0 && p < options->port_count; p++) {
        config.device = options->ports[p].device;
        rc = open_port(network, p, &config);
    }
    return rc;
}

static void dpdk_close(struct gx_wan_network *network)
{
    for (uint32_t p = 0; p < GX_WAN_PORTS_MAX; p++) {
        if (bridge.ports[p].open)
            gx_device_close(&bridge.ports[p].device);
        bridge.ports[p].open = false;
    }
    network->poll_count = 0;
    gx_eal_fini();
}

/* ---- from a port to the network ---- */

static void enter(struct gx_wan_network *network, uint32_t from, struct gx_wan_arrival *arrival)
{
    if (arrival->bytes < GX_WAN_ETHERNET_BYTES || arrival->bytes > GX_WAN_PACKET_BYTES_MAX) {
        network->counters.stranger_packets++;
        return;
    }
    gx_wan_mac_learn(&bridge.mac, arrival->data + ETHERNET_SOURCE, from, arrival->at_ns);
    arrival->to_mask = gx_wan_mac_ports(&bridge.mac, arrival->data, from,
                                        network->options.port_count, arrival->at_ns);
    if (arrival->to_mask == 0) {
        bridge.local_packets++;
        return;
    }
    bridge.flooded_packets += (arrival->to_mask & (arrival->to_mask - 1)) != 0;
    arrival->frame_bytes = arrival->bytes;
    arrival->from = (uint16_t)from;
    arrival->from_idx = (uint16_t)from;
    arrival->to_idx = (uint16_t)__builtin_ctz(arrival->to_mask);
    gx_wan_network_enter(network, arrival);
}

static uint16_t receive_batch(struct gx_wan_network *network, uint32_t from)
{
    struct rte_mbuf *mbufs[BATCH];
    uint16_t count = rte_eth_rx_burst(bridge.ports[from].device.port_id, 0, mbufs, BATCH);

    if (count == 0)
        return 0;
    uint64_t now_ns = gx_wan_now_ns(), realtime_ns = network->log ? gx_wan_realtime_ns() : 0;
    for (uint16_t i = 0; i < count; i++) {
        struct gx_wan_arrival arrival = {
            .bytes = rte_pktmbuf_pkt_len(mbufs[i]), .at_ns = now_ns, .realtime_ns = realtime_ns};
        uint32_t bytes = arrival.bytes <= sizeof(bridge.received) ? arrival.bytes : 0;
        arrival.data = rte_pktmbuf_read(mbufs[i], 0, bytes, bridge.received);
        enter(network, from, &arrival);
    }
    rte_pktmbuf_free_bulk(mbufs, count);
    return count;
}

/* A descriptor with an error would end every sleep at once. The port is looked at by time from now on, so that it works
 * again when its interface does. */
static void check_wake(struct gx_wan_network *network, uint32_t p)
{
    struct pollfd *wake = &network->polls[p];

    if (!(wake->revents & (POLLERR | POLLHUP | POLLNVAL)))
        return;
    fprintf(stderr, "gx-wan: port %c, %s: its interface went down or away\n", (char)('a' + p),
            network->options.ports[p].device);
    wake->fd = -1;
    wake->revents = 0;
    network->nap_ns_max = NAP_NS;
}

/* All ports, whatever their descriptors say: a turn ends with empty rings, so that a sleep may
 * follow it. */
static void dpdk_receive(struct gx_wan_network *network)
{
    for (uint32_t p = 0; p < network->poll_count; p++) {
        check_wake(network, p);
        for (int batch = 0; batch < BATCHES_MAX; batch++) {
            if (receive_batch(network, p) < BATCH)
                break;
        }
    }
}

/* ---- from the network to a port ---- */

static uint16_t make_mbufs(struct dpdk_port *port, struct rte_mbuf **mbufs)
{
    struct rte_mempool *pool = port->device.pools[0];
    uint16_t count = 0;

    for (; count < port->out_count; count++) {
        const struct gx_wan_packet *packet = port->out[count];
        struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);
        char *data = mbuf ? rte_pktmbuf_append(mbuf, (uint16_t)packet->bytes) : NULL;
        if (!data) {
            rte_pktmbuf_free(mbuf);
            break;
        }
        memcpy(data, packet->data, packet->bytes);
        mbufs[count] = mbuf;
    }
    return count;
}

/* A frame for which there is no mbuf, or that is larger than the device's: not sent, and the others
 * behind it are. */
static void drop_first(struct gx_wan_network *network, struct dpdk_port *port)
{
    network->counters.send_drops++;
    gx_wan_pool_give(&network->pool, port->out[0]);
    port->out_count--;
    memmove(port->out, port->out + 1, port->out_count * sizeof(port->out[0]));
}

static void send_some(struct gx_wan_network *network, struct dpdk_port *port)
{
    struct rte_mbuf *mbufs[BATCH];
    uint16_t made = make_mbufs(port, mbufs), sent = 0;

    for (int i = 0; i < TRIES_MAX && sent < made; i++)
        sent = (uint16_t)(sent + rte_eth_tx_burst(port->device.port_id, 0, mbufs + sent,
                                                  (uint16_t)(made - sent)));
    uint64_t now_ns = gx_wan_now_ns();
    for (uint16_t i = 0; i < sent; i++)
        gx_wan_network_sent(network, port->out[i], now_ns);
    rte_pktmbuf_free_bulk(mbufs + sent, (unsigned)(made - sent));
    network->counters.send_drops += (uint64_t)(made - sent);
    for (uint16_t i = 0; i < made; i++)
        gx_wan_pool_give(&network->pool, port->out[i]);
    port->out_count -= made;
    memmove(port->out, port->out + made, port->out_count * sizeof(port->out[0]));
    if (port->out_count > 0)
        drop_first(network, port);
}

static void send_batch(struct gx_wan_network *network, struct dpdk_port *port)
{
    while (port->out_count > 0)
        send_some(network, port);
}

static void dpdk_send(struct gx_wan_network *network, uint64_t now_ns)
{
    struct gx_wan_packet *packet;

    while ((packet = gx_wan_network_next(network, now_ns))) {
        struct dpdk_port *port = &bridge.ports[packet->to];
        port->out[port->out_count++] = packet;
        if (port->out_count == BATCH)
            send_batch(network, port);
    }
    for (uint32_t p = 0; p < network->poll_count; p++)
        send_batch(network, &bridge.ports[p]);
}

/* ---- what it says of itself ---- */

static void dpdk_describe(const struct gx_wan_network *network, uint32_t port, FILE *out)
{
    fprintf(out, "\"device\":\"%s\",\"driver\":\"%s\",\"mtu\":%" PRIu32 ",",
            network->options.ports[port].device, bridge.ports[port].device.driver,
            bridge.ports[port].device.mtu);
}

static void dpdk_count(const struct gx_wan_network *network, FILE *out)
{
    (void)network;
    fprintf(out, ",\"flooded_packets\":%" PRIu64 ",\"local_packets\":%" PRIu64,
            bridge.flooded_packets, bridge.local_packets);
    fprintf(out, ",\"macs_learned\":%" PRIu64 ",\"macs_moved\":%" PRIu64, bridge.mac.learned,
            bridge.mac.moved);
}

static uint64_t dpdk_kernel_drops(const struct gx_wan_network *network)
{
    uint64_t sum = 0;

    for (uint32_t p = 0; p < network->poll_count; p++) {
        struct gx_device_drops drops;
        gx_device_drops(&bridge.ports[p].device, &drops);
        sum += drops.rx_missed + drops.rx_errors + drops.rx_no_mbuf;
    }
    return sum;
}

const struct gx_wan_front gx_wan_dpdk_front = {
    .open = dpdk_open,
    .close = dpdk_close,
    .receive = dpdk_receive,
    .send = dpdk_send,
    .describe = dpdk_describe,
    .count = dpdk_count,
    .kernel_drops = dpdk_kernel_drops,
    .breath_ns = BREATH_NS,
};
