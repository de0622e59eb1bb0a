/* gx_device: one DPDK device, opened by its device string: "net_af_xdp0,iface=eth0", "net_memif0,role=server,…", a PCI
 * address. It knows what each driver needs and what it does silently wrong (docs/dpdk.md): what a device string leaves
 * out is added, the memory's layout is checked, and the descriptor that wakes a sleeper is found.
 *
 * Threads   open, start, close: main. rx and tx bursts on a queue: one thread each, with rte_eth_rx_burst(port_id,
 *           queue, …) and rte_eth_tx_burst() directly.
 * Memory    one pool per queue: its receive buffers, and the only place from which af_xdp sends without a copy. Packets
 *           that go back into the pool come from the device's calls, so pools are sized for full rings and more.
 * Needs     gx_eal_init() first.
 * Errors    0 or -errno, and one line in `error` that names the device and says what to do.
 */
#ifndef GX_PORT_DEVICE_H
#define GX_PORT_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GX_DEVICE_QUEUES_MAX 8
#define GX_DEVICE_NAME_MAX 64
#define GX_DEVICE_TEXT_MAX 256

struct rte_mempool;
struct rte_mbuf;

enum gx_device_kind {
    GX_DEVICE_NIC, /* a PCI device or anything not named below */
    GX_DEVICE_AF_XDP,
    GX_DEVICE_AF_PACKET,
    GX_DEVICE_MEMIF,
    GX_DEVICE_RING,
    GX_DEVICE_TAP,
};

struct gx_device_config {
    const char *device;      /* device string */
    uint16_t queue_count;    /* receive and transmit queues; 0: 1 */
    uint32_t frame_bytes;    /* largest frame with its Ethernet header; 0: the device's MTU + 14 */
    uint32_t mbufs_more;     /* mbufs per queue beyond what the rings can hold; 0: 1,024 */
    uint16_t rx_descriptors; /* 0: 2,048, or fewer where the driver wants that */
    uint16_t tx_descriptors; /* 0: the same */
};

struct gx_device {
    char name[GX_DEVICE_NAME_MAX];   /* "net_af_xdp0" */
    char driver[GX_DEVICE_NAME_MAX]; /* "net_af_xdp" */
    char iface[GX_DEVICE_NAME_MAX];  /* the kernel interface it stands on, or "" */
    enum gx_device_kind kind;
    uint16_t port_id;
    uint16_t queue_count;
    bool started;        /* false: a memif client waits for its server; no burst before that */
    uint64_t started_ns; /* when it was last tried */
    bool client;
    uint32_t mtu;       /* as the interface has it now: IP bytes */
    uint32_t frame_mtu; /* what it was when the buffers were made: more is not sent */
    uint8_t mac[6];
    bool segments;                  /* takes frames of several mbufs */
    bool ip_checksum, udp_checksum; /* the device fills them in */
    bool registered;                /* sends only from memory that was registered with it */
    struct rte_mempool *pools[GX_DEVICE_QUEUES_MAX];
    /* Readable when the queue has packets: poll() it once rx was empty. -1: none, sleep by time. */
    int wake_fds[GX_DEVICE_QUEUES_MAX];
    uint32_t withheld; /* mbufs taken out of use because the driver's memory does not reach them */
    struct rte_mbuf **withheld_list;
};

/* Opens, configures and sets up all queues; not started. */
int gx_device_open(struct gx_device *device, const struct gx_device_config *config, char *error,
                   size_t error_bytes);
int gx_device_start(struct gx_device *device, char *error, size_t error_bytes);
void gx_device_close(struct gx_device *device);

/* Memory for gx_eal_config.memory_mib, so that this device's pools fit: count what is open together. */
uint32_t gx_device_memory_mib(const struct gx_device_config *config);
/* A memif client that has no server tries to reach it here. For the thread of the bursts; costs system calls. */
bool gx_device_link_up(struct gx_device *device);
/* Reads the kernel's MTU again, where the device stands on an interface: others may change it. */
void gx_device_mtu_refresh(struct gx_device *device);
/* The kernel's MTU of `iface`, 0 when it is not there. */
uint32_t gx_device_iface_mtu(const char *iface);

/* Packets that the driver or the kernel dropped for want of room, or could not send; cumulative. Not for every burst. */
struct gx_device_drops {
    uint64_t rx_missed, rx_errors, rx_no_mbuf, tx_errors;
};
void gx_device_drops(const struct gx_device *device, struct gx_device_drops *out);

#endif
