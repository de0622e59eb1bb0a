/* A port on a DPDK device: the kernel is not in the packets' way. The small IP host that this takes is net/, what each
 * driver needs is device.c, sending is dpdk_tx.c; here is the rest: receiving, sleeping, opening. */
#include "port/dpdk.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_ethdev.h>

#include "gx_assert.h"
#include "port/clock.h"
#include "port/eal.h"

#define SLEEP_MAX_NS GX_NS_PER_MS     /* where packets do not end a sleep */
#define RETRY_NS (100 * GX_NS_PER_US) /* a full device is tried again */
#define LINK_NS (250 * GX_NS_PER_MS)
#define HANDED 1024u /* frames that wait for a worker */
#define POOL_MIB 8   /* headers and empty mbufs: see dpdk_tx.c */

static struct gx_dpdk *dpdk_of(const struct gx_port *port)
{
    return (struct gx_dpdk *)(uintptr_t)port;
}

/* ---- receiving ---- */

/* A frame in several pieces, or one that others may read too, is copied into a buffer of ours. NULL: no room. */
static struct rte_mbuf *flatten(struct gx_dpdk *d, struct rte_mbuf *mbuf)
{
    struct rte_mbuf *flat;

    if (mbuf->nb_segs == 1 && RTE_MBUF_DIRECT(mbuf) && rte_mbuf_refcnt_read(mbuf) == 1)
        return mbuf;
    flat = rte_pktmbuf_alloc(d->device.pools[d->queue]);
    if (!flat)
        d->base.stats.pool_empty++;
    if (flat && mbuf->pkt_len <= rte_pktmbuf_tailroom(flat)) {
        char *to = rte_pktmbuf_append(flat, (uint16_t)mbuf->pkt_len);
        const void *from = rte_pktmbuf_read(mbuf, 0, mbuf->pkt_len, to);

        if (from && from != to)
            memcpy(to, from, mbuf->pkt_len);
        d->base.stats.rx_copied_bytes += mbuf->pkt_len;
    } else {
        rte_pktmbuf_free(flat);
        flat = NULL;
    }
    rte_pktmbuf_free(mbuf);
    return flat;
}

/* ---- frames of other workers ---- */

static void hand_to(struct gx_dpdk *d, struct rte_mbuf *mbuf, uint32_t worker)
{
    if (mbuf && rte_ring_mp_enqueue(d->team[worker]->handed, mbuf) == 0) {
        d->told |= 1u << worker;
        return;
    }
    rte_pktmbuf_free(mbuf);
    d->base.stats.rx_dropped++;
}

/* The device spreads frames over its queues by means of its own. True: the frame is another worker's. */
static bool hand_over(struct gx_dpdk *d, struct rte_mbuf *mbuf)
{
    const struct gx_host *host = &gx_dpdk_first(d)->host;
    const uint8_t *frame = rte_pktmbuf_mtod(mbuf, const uint8_t *);
    int32_t port = gx_host_port(host, frame, mbuf->data_len);

    if (port >= host->udp_port && port < host->udp_port + d->team_count) {
        if (port - host->udp_port == d->queue)
            return false;
        hand_to(d, mbuf, (uint32_t)(port - host->udp_port));
        return true;
    }
    for (uint32_t w = 0; w < d->team_count && gx_host_is_neighbor(host, frame, mbuf->data_len); w++)
        if (w != d->queue)
            hand_to(d, rte_pktmbuf_copy(mbuf, d->device.pools[d->queue], 0, UINT32_MAX), w);
    return false;
}

static void tell(struct gx_dpdk *d)
{
    for (; d->told; d->told &= d->told - 1)
        eventfd_write(d->team[__builtin_ctz(d->told)]->handed_fd, 1);
}

/* ---- every frame ---- */

/* True: `out` is a packet, and the mbuf is held. `handed`: another worker has seen it, and answered if need be. */
static bool frame_rx(struct gx_dpdk *d, struct rte_mbuf *mbuf, bool handed, uint64_t now,
                     struct gx_rx *out)
{
    struct gx_host_rx got;
    uint32_t room;

    mbuf = handed ? mbuf : flatten(d, mbuf);
    if (!mbuf) {
        d->base.stats.rx_dropped++;
        return false;
    }
    if (d->team_count > 1 && !handed && hand_over(d, mbuf))
        return false;
    room = (uint32_t)mbuf->data_len + rte_pktmbuf_tailroom(mbuf);
    switch (
        gx_host_rx(&d->host, now, rte_pktmbuf_mtod(mbuf, uint8_t *), mbuf->data_len, room, &got)) {
    case GX_HOST_UDP:
        *out = (struct gx_rx){got.from, got.payload, got.payload_bytes};
        d->held[d->held_count++] = mbuf;
        return true;
    case GX_HOST_REPLY:
        if (handed)
            break;
        mbuf->data_len = (uint16_t)got.reply_bytes;
        mbuf->pkt_len = got.reply_bytes;
        mbuf->ol_flags = 0;
        gx_dpdk_send(d, mbuf);
        return false;
    case GX_HOST_DONE:
        break;
    case GX_HOST_DROP:
        d->base.stats.rx_dropped++;
        break;
    }
    rte_pktmbuf_free(mbuf);
    return false;
}

/* ---- house ---- */

static void link_check(struct gx_dpdk *d, uint64_t now)
{
    struct gx_device_drops drops;
    bool down;

    if (now - d->link_ns < LINK_NS)
        return;
    d->link_ns = now;
    if (d != gx_dpdk_first(d)) {
        d->base.stats.link_down =
            __atomic_load_n(&gx_dpdk_first(d)->base.stats.link_down, __ATOMIC_RELAXED);
        d->device.mtu = __atomic_load_n(&gx_dpdk_first(d)->device.mtu, __ATOMIC_RELAXED);
        return;
    }
    down = !gx_device_link_up(&d->device);
    if (down && !d->base.stats.link_down)
        d->base.stats.link_downs++;
    if (!down && d->base.stats.link_down)
        gx_host_announce(&d->host, now);
    __atomic_store_n(&d->base.stats.link_down, down, __ATOMIC_RELAXED);
    d->base.stats.address_conflicts = d->host.counts.conflict;
    d->base.stats.gateway_lost =
        d->host.has_gateway && gx_neighbors_silent(&d->host.neighbors, d->host.gateway, now);
    gx_device_mtu_refresh(&d->device);
    gx_device_drops(&d->device, &drops);
    d->base.stats.rx_missed = drops.rx_missed + drops.rx_no_mbuf;
}

static void speak(struct gx_dpdk *d, uint64_t now)
{
    while (!d->pending_count && gx_host_wake(&d->host) <= now) {
        struct rte_mbuf *mbuf = rte_pktmbuf_alloc(d->device.pools[d->queue]);
        uint32_t bytes;

        if (!mbuf) {
            d->base.stats.pool_empty++;
            return;
        }
        bytes = gx_host_poll(&d->host, now, rte_pktmbuf_mtod(mbuf, uint8_t *));
        mbuf->data_len = (uint16_t)bytes;
        mbuf->pkt_len = bytes;
        if (bytes)
            gx_dpdk_send(d, mbuf);
        else
            rte_pktmbuf_free(mbuf);
    }
}

/* What the other workers have got for this one. */
static uint32_t handed_rx(struct gx_dpdk *d, uint64_t now, struct gx_rx *out, uint32_t max)
{
    void *mbufs[GX_PORT_BURST];
    uint32_t n = 0, count = rte_ring_sc_dequeue_burst(d->handed, mbufs, max, NULL);

    for (uint32_t i = 0; i < count; i++)
        n += frame_rx(d, mbufs[i], true, now, &out[n]);
    d->more |= count > 0;
    return n;
}

static uint32_t dpdk_rx(struct gx_port *port, struct gx_rx *out, uint32_t max)
{
    struct gx_dpdk *d = dpdk_of(port);
    struct rte_mbuf *mbufs[GX_PORT_BURST];
    uint64_t now = gx_clock_ns();
    uint32_t n = 0, count;

    rte_pktmbuf_free_bulk(d->held, d->held_count);
    d->held_count = 0;
    gx_dpdk_flush(d, now);
    gx_dpdk_reclaim(d, now);
    link_check(d, now);
    speak(d, now);
    if (max > GX_PORT_BURST)
        max = GX_PORT_BURST;
    count =
        d->device.started ? rte_eth_rx_burst(d->device.port_id, d->queue, mbufs, (uint16_t)max) : 0;
    for (uint32_t i = 0; i < count; i++)
        n += frame_rx(d, mbufs[i], false, now, &out[n]);
    d->more = count > 0;
    if (d->team_count > 1) {
        tell(d);
        n += handed_rx(d, now, out + n, max - n);
    }
    port->stats.rx_packets += n;
    port->stats.rx_bursts += count > 0;
    return n;
}

/* ---- sleeping ---- */

static void sleep_on(struct gx_dpdk *d, int epoll_fd, uint64_t until_ns)
{
    uint64_t now = gx_clock_ns(), due = gx_host_wake(&d->host), max = until_ns;
    struct epoll_event events[8];
    struct timespec left;

    if (due < until_ns)
        until_ns = due;
    if (d->pending_count)
        max = now + RETRY_NS;
    else if (!d->wakes || (d->external && d->free_count < GX_DPDK_SLOTS))
        max = now + SLEEP_MAX_NS;
    if (max < until_ns)
        until_ns = max;
    if (until_ns <= now)
        return;
    left.tv_sec = (time_t)((until_ns - now) / GX_NS_PER_S);
    left.tv_nsec = (long)((until_ns - now) % GX_NS_PER_S);
    epoll_pwait2(epoll_fd, events, 8, &left, NULL);
}

/* Returns at once while the last rx brought anything: a driver's descriptor is asked only when its ring was empty. */
static void dpdk_sleep(struct gx_port *port, uint64_t until_ns)
{
    struct gx_dpdk *d = dpdk_of(port);

    if (!d->more)
        sleep_on(d, d->epoll_fd, until_ns);
}

static void dpdk_nap(struct gx_port *port, uint64_t until_ns)
{
    struct gx_dpdk *d = dpdk_of(port);

    if (!d->more)
        sleep_on(d, d->nap_fd, until_ns);
}

/* Edge-triggered: an eventfd need not be read to make the next sleep a sleep again. */
static int dpdk_watch(struct gx_port *port, int fd)
{
    const struct gx_dpdk *d = dpdk_of(port);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data = {.fd = fd}};

    return epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, fd, &event) ||
                   epoll_ctl(d->nap_fd, EPOLL_CTL_ADD, fd, &event)
               ? -errno
               : 0;
}

static void dpdk_unwatch(struct gx_port *port, int fd)
{
    epoll_ctl(dpdk_of(port)->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    epoll_ctl(dpdk_of(port)->nap_fd, EPOLL_CTL_DEL, fd, NULL);
}

static int sleep_open(struct gx_dpdk *d)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = d->device.wake_fds[d->queue]}};

    d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    d->nap_fd = epoll_create1(EPOLL_CLOEXEC);
    if (d->epoll_fd < 0 || d->nap_fd < 0)
        return -errno;
    d->wakes =
        event.data.fd >= 0 && epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, event.data.fd, &event) == 0;
    if (d->team_count == 1)
        return 0;
    d->handed_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return d->handed_fd < 0 ? -errno : dpdk_watch(&d->base, d->handed_fd);
}

/* ---- memory ---- */

static size_t whole_pages(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return (bytes + page - 1) / page * page;
}

static int dpdk_memory_add(struct gx_port *port, void *base, size_t bytes)
{
    struct gx_dpdk *d = dpdk_of(port);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct rte_eth_dev_info info;
    uint32_t i = 0;
    int ret;

    if (!d->external || !d->device.registered)
        return 0;
    bytes = whole_pages(bytes);
    while (i < GX_DPDK_REGIONS_MAX && d->regions[i].bytes)
        i++;
    if (i == GX_DPDK_REGIONS_MAX)
        return -ENOSPC;
    ret = rte_eth_dev_info_get(d->device.port_id, &info);
    if (!ret && rte_extmem_register(base, bytes, NULL, 0, page))
        ret = -rte_errno;
    if (ret)
        return ret;
    if (rte_dev_dma_map(info.device, base, (uint64_t)(uintptr_t)base, bytes)) {
        ret = -rte_errno;
        rte_extmem_unregister(base, bytes);
        return ret;
    }
    d->regions[i].base = (uintptr_t)base;
    /* Release: who sees the size sees the base. */
    __atomic_store_n(&d->regions[i].bytes, bytes, __ATOMIC_RELEASE);
    return 0;
}

static void dpdk_memory_remove(struct gx_port *port, void *base, size_t bytes)
{
    struct gx_dpdk *d = dpdk_of(port);
    struct rte_eth_dev_info info;

    bytes = whole_pages(bytes);
    for (uint32_t i = 0; i < GX_DPDK_REGIONS_MAX; i++) {
        if (!d->regions[i].bytes || d->regions[i].base != (uintptr_t)base)
            continue;
        __atomic_store_n(&d->regions[i].bytes, 0, __ATOMIC_RELEASE);
        if (!rte_eth_dev_info_get(d->device.port_id, &info))
            rte_dev_dma_unmap(info.device, base, (uint64_t)(uintptr_t)base, bytes);
        rte_extmem_unregister(base, bytes);
    }
}

/* ---- opening ---- */

/* With a CPU for each worker, each has its own. */
static void cpus_share(const struct gx_dpdk *d, cpu_set_t *set)
{
    unsigned skip = d->queue;

    if (CPU_COUNT(set) < d->team_count || d->team_count == 1)
        return;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, set) && skip-- == 0) {
            CPU_ZERO(set);
            CPU_SET(cpu, set);
            return;
        }
}

static int dpdk_start(struct gx_port *port)
{
    struct gx_dpdk *d = dpdk_of(port);
    cpu_set_t set;

    CPU_ZERO(&set);
    for (const char *at = d->lcores; *at; at += strspn(at, ",")) {
        char *end;
        unsigned long first = strtoul(at, &end, 10), last = first;

        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        for (; first <= last && first < CPU_SETSIZE; first++)
            CPU_SET(first, &set);
        if (end == at)
            break;
        at = end;
    }
    cpus_share(d, &set);
    if (CPU_COUNT(&set) && pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
        return -EINVAL;
    return gx_eal_thread();
}

static void frames_free(struct gx_dpdk *d)
{
    void *mbuf;

    rte_pktmbuf_free_bulk(d->held, d->held_count);
    rte_pktmbuf_free_bulk(d->pending + d->pending_first, d->pending_count);
    rte_pktmbuf_free_bulk(d->copy_stash, d->copy_count);
    d->copy_count = 0;
    while (d->handed && rte_ring_sc_dequeue(d->handed, &mbuf) == 0)
        rte_pktmbuf_free(mbuf);
}

/* The device goes before the memory that its frames came from, of whichever worker. */
static void dpdk_close(struct gx_port *port)
{
    struct gx_dpdk *d = dpdk_of(port), **team = d->team;
    uint16_t count = d->team_count;

    if (d != gx_dpdk_first(d))
        return;
    for (uint16_t w = 0; w < count; w++)
        frames_free(team[w]);
    gx_device_close(&d->device);
    for (uint16_t w = 0; w < count; w++) {
        gx_dpdk_tx_fini(team[w]);
        rte_ring_free(team[w]->handed);
        if (team[w]->epoll_fd >= 0)
            close(team[w]->epoll_fd);
        if (team[w]->nap_fd >= 0)
            close(team[w]->nap_fd);
        if (team[w]->handed_fd >= 0)
            close(team[w]->handed_fd);
        free(team[w]);
    }
    free(team);
}

static int host_open(struct gx_dpdk *d, const struct gx_port_config *config, char *error,
                     size_t error_bytes)
{
    struct gx_host_config host = {
        .address = config->address,
        .gateway = config->gateway,
        .udp_port = (uint16_t)(config->udp_port + d->queue),
        .ip_checksum = d->device.ip_checksum,
        .udp_checksum = d->device.udp_checksum,
    };

    memcpy(host.mac, d->device.mac, sizeof(host.mac));
    if (config->mtu > d->device.mtu) {
        snprintf(error, error_bytes,
                 "device %s: its MTU is %u, less than `mtu: %u`: set `mtu: %u`%s%s", d->device.name,
                 d->device.mtu, config->mtu, d->device.mtu,
                 d->device.iface[0] ? ", or raise that of interface " : "", d->device.iface);
        return -EINVAL;
    }
    if (gx_host_init(&d->host, &host, gx_clock_ns(), error, error_bytes))
        return -EINVAL;
    if (d->queue > 0)
        d->host.announces = 0; /* the first's do for all */
    return 0;
}

static struct gx_dpdk *team_create(const struct gx_port_config *config, uint16_t count)
{
    struct gx_dpdk **team = calloc(count, sizeof(*team));

    for (uint16_t w = 0; team && w < count; w++) {
        struct gx_dpdk *d = calloc(1, sizeof(*d));

        if (!d) {
            while (w-- > 0)
                free(team[w]);
            free(team);
            return NULL;
        }
        d->base.ops = &gx_port_dpdk;
        d->epoll_fd = d->nap_fd = d->handed_fd = -1;
        d->device.port_id = RTE_MAX_ETHPORTS;
        d->queue = w;
        d->team = team;
        d->team_count = count;
        snprintf(d->lcores, sizeof(d->lcores), "%s", config->lcores ? config->lcores : "");
        team[w] = d;
    }
    return team ? team[0] : NULL;
}

static int worker_open(struct gx_dpdk *d, const struct gx_port_config *config, char *error,
                       size_t error_bytes)
{
    char name[32];
    int ret;

    if (d != gx_dpdk_first(d)) {
        d->device = gx_dpdk_first(d)->device;
        d->device.withheld_list = NULL;
    }
    ret = host_open(d, config, error, error_bytes);
    if (!ret)
        ret = gx_dpdk_tx_init(d, error, error_bytes);
    if (!ret && d->team_count > 1) {
        snprintf(name, sizeof(name), "gxw%u_%u", d->device.port_id, d->queue);
        d->handed = rte_ring_create(name, HANDED, SOCKET_ID_ANY, RING_F_SC_DEQ);
        ret = d->handed ? 0 : -ENOMEM;
        if (ret)
            snprintf(error, error_bytes, "device %s: no memory for its workers' rings",
                     d->device.name);
    }
    if (ret)
        return ret;
    ret = sleep_open(d);
    if (ret)
        snprintf(error, error_bytes, "epoll: %s", strerror(-ret));
    return ret;
}

int gx_dpdk_ports_open(const struct gx_port_config *config, struct gx_port **ports, uint32_t count,
                       char *error, size_t error_bytes)
{
    struct gx_device_config device = {
        .device = config->device,
        .queue_count = (uint16_t)count,
        .frame_bytes = config->mtu ? config->mtu + GX_ETHERNET_BYTES : 0,
    };
    struct gx_eal_config eal = {
        .program = "gxd",
        .memory_mib = gx_device_memory_mib(&device) + POOL_MIB * count + 8,
        .lcores = config->lcores,
        .devices = &config->device,
        .device_count = 1,
        .extra = config->eal,
    };
    struct gx_dpdk *d = team_create(config, (uint16_t)count);
    int ret;

    if (!d) {
        snprintf(error, error_bytes, "out of memory for the port");
        return -ENOMEM;
    }
    ret = gx_eal_init(&eal, error, error_bytes);
    if (!ret)
        ret = gx_device_open(&d->device, &device, error, error_bytes);
    for (uint32_t w = 0; w < count && !ret; w++)
        ret = worker_open(d->team[w], config, error, error_bytes);
    if (!ret)
        ret = gx_device_start(&d->device, error, error_bytes);
    if (ret) {
        dpdk_close(&d->base);
        return ret;
    }
    for (uint32_t w = 0; w < count; w++) {
        d->team[w]->device.started = d->device.started;
        ports[w] = &d->team[w]->base;
    }
    return 0;
}

static int dpdk_open(const struct gx_port_config *config, struct gx_port **port, char *error,
                     size_t error_bytes)
{
    return gx_dpdk_ports_open(config, port, 1, error, error_bytes);
}

static struct gx_addr dpdk_local(const struct gx_port *port)
{
    return gx_host_local(&dpdk_of(port)->host);
}

static bool dpdk_reaches(const struct gx_port *port, const struct gx_addr *to)
{
    return gx_host_reaches(&dpdk_of(port)->host, to);
}

static void dpdk_describe(const struct gx_port *port, char *out)
{
    const struct gx_dpdk *d = dpdk_of(port);
    char text[GX_PORT_TEXT_MAX];
    struct gx_addr local = gx_host_local(&d->host);
    int length =
        snprintf(out, GX_PORT_TEXT_MAX, "%s%s%s %s", d->device.driver,
                 d->device.iface[0] ? " " : "", d->device.iface, gx_addr_format(&local, text));

    if (length > 0 && length < GX_PORT_TEXT_MAX)
        snprintf(out + length, (size_t)(GX_PORT_TEXT_MAX - length), " (%s%s%s)",
                 d->external ? "no copy" : "1 copy", d->wakes ? ", poll" : ", timed",
                 gx_eal_huge() ? ", huge pages" : "");
}

const struct gx_port_ops gx_port_dpdk = {
    .name = "dpdk",
    .open = dpdk_open,
    .close = dpdk_close,
    .describe = dpdk_describe,
    .local = dpdk_local,
    .reaches = dpdk_reaches,
    .start = dpdk_start,
    .rx = dpdk_rx,
    .room = gx_dpdk_room,
    .tx = gx_dpdk_tx,
    .sleep = dpdk_sleep,
    .nap = dpdk_nap,
    .watch = dpdk_watch,
    .unwatch = dpdk_unwatch,
    .memory_add = dpdk_memory_add,
    .memory_remove = dpdk_memory_remove,
};
