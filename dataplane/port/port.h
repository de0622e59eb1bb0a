/* gx_port: where packets enter and leave. Each kind of port is one file that ends in one const table of functions;
 * the worker calls nothing else, so that another kind changes nothing above.
 *
 * Threads   open, close, describe and reaches are main's, before start and after the worker's end; everything else
 *           is the worker's, from start on.
 * Memory    received packets lie in the port's buffers until the next rx. A packet given to tx is sent from where its
 *           payload lies; `release` is called once per packet when the port no longer points there, inside rx or tx.
 * Errors    a packet that cannot be sent is a lost packet: counted in `stats`, released, nothing else happens.
 */
#ifndef GX_PORT_H
#define GX_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transfer/links.h"

#define GX_PORT_BURST 64     /* packets per rx and tx, at most */
#define GX_PORT_WATCH_MAX 24 /* descriptors that end a sleep */
#define GX_PORT_TEXT_MAX 64

struct gx_rx {
    struct gx_addr from;
    const uint8_t *bytes;
    uint32_t byte_count;
};

struct gx_port_config {
    const char
        *address; /* local "host:port", numeric; the port may be 0. A device: "10.0.0.1/24" */
    uint64_t buffer_bytes; /* wanted in each direction from the system; 0: the default */
    /* A DPDK device instead of the kernel's UDP; NULL or "": no. */
    const char *device;  /* device string, "net_af_xdp0,iface=eth0" */
    const char *gateway; /* numeric; NULL or "": none */
    uint16_t udp_port;
    uint32_t mtu;       /* of the largest IP packet to be sent; the device's may be larger */
    const char *lcores; /* CPUs of the thread that moves packets; NULL or "": all */
    const char *eal;    /* more arguments for DPDK's EAL; NULL or "": none */
};

struct gx_port_stats {
    uint64_t rx_packets,
        rx_bursts; /* a burst: one receive call of the system, GRO may put many packets into it */
    uint64_t tx_packets, tx_bursts;
    uint64_t tx_errors;  /* packets that the system refused to send */
    uint64_t tx_retries; /* bursts that waited for room in the system */
    uint64_t rx_dropped; /* truncated or from an address that is no IP address */
    int last_error;      /* errno of the last tx_errors, positive */
    /* Payload bytes, by what the port did with them. The kernel's own copies (sockets) are not seen here. */
    uint64_t tx_external_bytes;      /* sent from where they lie */
    uint64_t tx_copied_driver_bytes; /* copied once: the driver sends only from memory of its own */
    uint64_t
        tx_copied_memory_bytes; /* copied once: this memory is not registered with the device */
    uint64_t rx_copied_bytes;   /* came in several pieces */
    uint64_t tx_unresolved;     /* packets lost: the peer's MAC address was not known yet */
    uint64_t pool_empty;        /* times that no packet buffer was free */
    uint64_t link_downs;
    uint64_t rx_missed;         /* dropped by driver or kernel before us: no room */
    uint64_t address_conflicts; /* times that another host claimed our address */
    bool link_down;
    bool gateway_lost; /* it is needed, and does not answer */
};

struct gx_port_ops;

struct gx_port {
    const struct gx_port_ops *ops;
    struct gx_port_stats stats;
    void (*release)(void *ctx, uint32_t owner);
    void *ctx;
};

struct gx_port_ops {
    const char *name;
    /* 0 or -errno with one line in `error`. -ENOSYS, -EPERM: this kind of port does not work on this system. */
    int (*open)(const struct gx_port_config *config, struct gx_port **port, char *error,
                size_t error_bytes);
    void (*close)(struct gx_port *port);
    /* What it really is, e.g. "udp 127.0.0.1:7440 (io_uring, GSO, GRO)"; GX_PORT_TEXT_MAX with terminator. */
    void (*describe)(const struct gx_port *port, char *out);
    struct gx_addr (*local)(const struct gx_port *port);
    bool (*reaches)(const struct gx_port *port, const struct gx_addr *to);
    int (*start)(struct gx_port *port);
    /* Up to `max` (GX_PORT_BURST) packets that have arrived; 0: none. */
    uint32_t (*rx)(struct gx_port *port, struct gx_rx *out, uint32_t max);
    /* How many packets tx takes now, whatever their sizes; 0 is back-pressure. */
    uint32_t (*room)(struct gx_port *port);
    void (*tx)(struct gx_port *port, const struct gx_packet *packets, uint32_t count);
    /* Sleeps until `until_ns`, a packet, a finished send, a write to a watched descriptor, or a signal. */
    void (*sleep)(struct gx_port *port, uint64_t until_ns);
    /* Optional. The same, but packets need not end it: many are then taken at once. */
    void (*nap)(struct gx_port *port, uint64_t until_ns);
    /* Eventfds that end a sleep. They are never read: only the moment of a write counts. -ENOSPC: too many. */
    int (*watch)(struct gx_port *port, int fd);
    void (*unwatch)(struct gx_port *port, int fd);
    /* Main's, optional. Memory from which payloads will be sent (whole pages), before the first and after the last of
     * them: a device that needs to know it can then send from there. 0 or -errno: sent by copy. */
    int (*memory_add)(struct gx_port *port, void *base, size_t bytes);
    void (*memory_remove)(struct gx_port *port, void *base, size_t bytes);
};

extern const struct gx_port_ops gx_port_uring;
extern const struct gx_port_ops gx_port_socket;
extern const struct gx_port_ops gx_port_dpdk; /* only in a build with DPDK */

/* Opens the device if there is one, else the best port for a UDP address: io_uring, or plain sockets where that is not
 * permitted. */
int gx_port_open(const struct gx_port_config *config, struct gx_port **port, char *error,
                 size_t error_bytes);
/* What gx_ports_open() does with a device; only in a build with DPDK. */
int gx_dpdk_ports_open(const struct gx_port_config *config, struct gx_port **ports, uint32_t count,
                       char *error, size_t error_bytes);
/* One port for each of `count` workers, all of one device, or at UDP port, port + 1, … */
int gx_ports_open(const struct gx_port_config *config, struct gx_port **ports, uint32_t count,
                  char *error, size_t error_bytes);
/* Binds the release upcall and starts the port in the calling thread. */
int gx_port_start(struct gx_port *port, void (*release)(void *ctx, uint32_t owner), void *ctx);

/* "127.0.0.1:7440" or "[::1]:7440", numeric. -EINVAL when it is neither. */
int gx_addr_parse(struct gx_addr *out, const char *text);
/* The same form; `out` has GX_PORT_TEXT_MAX bytes. Returns out. */
const char *gx_addr_format(const struct gx_addr *addr, char *out);
bool gx_addr_is_v6(const struct gx_addr *addr);
/* The same host, its port plus `by`. -ERANGE: there is no such port. */
int gx_addr_shift(struct gx_addr *addr, uint32_t by);

#endif
