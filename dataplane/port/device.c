#include "port/device.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>

#include "port/clock.h"
#include "port/device_kernel.h"
#include "port/device_text.h"
#include "port/eal.h"

#define DESCRIPTORS 2048u
#define MBUFS_MORE 1024u
#define CACHE 256u
#define MTU_DEFAULT 1500u

/* ---- the link ---- */

/* The driver connects in start only, and start fails while there is no server. Its handshake runs on a thread of DPDK's,
 * which a stop in the middle of it would crash. */
#define MEMIF_HANDSHAKE_NS GX_NS_PER_S

static bool memif_up(struct gx_device *device)
{
    struct rte_eth_link link = {0};

    if (device->started && !rte_eth_link_get_nowait(device->port_id, &link) && link.link_status)
        return true;
    if (!device->client)
        return false;
    if (device->started && gx_clock_ns() - device->started_ns < MEMIF_HANDSHAKE_NS)
        return false;
    if (device->started)
        rte_eth_dev_stop(device->port_id);
    device->started_ns = gx_clock_ns();
    device->started = rte_eth_dev_start(device->port_id) == 0;
    return false;
}

bool gx_device_link_up(struct gx_device *device)
{
    struct rte_eth_link link = {0};

    /* Drivers on a kernel interface say "up" whatever happens to it. */
    if (device->iface[0] && device->kind != GX_DEVICE_NIC)
        return gx_iface_up(device->iface);
    if (device->kind == GX_DEVICE_RING)
        return true;
    if (device->kind == GX_DEVICE_MEMIF)
        return memif_up(device);
    return rte_eth_link_get_nowait(device->port_id, &link) == 0 && link.link_status;
}

/* ---- pools ---- */

static uint32_t descriptors(uint16_t wanted, const struct rte_eth_desc_lim *limits)
{
    uint32_t count = wanted ? wanted : DESCRIPTORS;

    if (limits->nb_max && count > limits->nb_max)
        count = limits->nb_max;
    if (count < limits->nb_min)
        count = limits->nb_min;
    if (limits->nb_align > 1)
        count -= count % limits->nb_align;
    return count;
}

static uint32_t pool_mbufs(uint32_t rx, uint32_t tx, uint32_t more)
{
    /* What is sent waits in two rings (to go, gone) until it is taken back; two threads may hold a cache each. */
    return rx + 2 * tx + (more ? more : MBUFS_MORE) + 4 * CACHE;
}

static uint32_t pool_room(enum gx_device_kind kind, uint32_t frame_bytes)
{
    uint32_t room = frame_bytes + GX_VLAN_BYTES;

    if (kind == GX_DEVICE_AF_PACKET) /* the driver wants room for all of its ring's frame */
        room = gx_packet_room(frame_bytes);
    if (room < GX_ROOM_MIN)
        room = GX_ROOM_MIN;
    if (kind == GX_DEVICE_AF_XDP)
        room = room + GX_XDP_HEADROOM < GX_XDP_FRAME_MAX + GX_XDP_HEADROOM
                   ? room + GX_XDP_HEADROOM
                   : GX_XDP_FRAME_MAX + GX_XDP_HEADROOM;
    return RTE_PKTMBUF_HEADROOM + (room + 63) / 64 * 64;
}

static struct rte_mempool *pool_create(const struct gx_device *device, uint16_t queue,
                                       uint32_t mbufs, uint32_t room)
{
    struct rte_pktmbuf_pool_private head = {.mbuf_data_room_size = (uint16_t)room};
    /* Objects packed without gaps at page ends, for drivers whose memory the kernel reads by virtual address. */
    unsigned flags = device->kind == GX_DEVICE_NIC ? 0 : RTE_MEMPOOL_F_NO_IOVA_CONTIG;
    char name[RTE_MEMPOOL_NAMESIZE];
    struct rte_mempool *pool;

    snprintf(name, sizeof(name), "gx%u_%u", device->port_id, queue);
    pool = rte_mempool_create_empty(name, mbufs, (unsigned)sizeof(struct rte_mbuf) + room, CACHE,
                                    sizeof(head), rte_eth_dev_socket_id(device->port_id), flags);
    if (!pool)
        return NULL;
    if (!rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL)) {
        rte_pktmbuf_pool_init(pool, &head);
        if (rte_mempool_populate_default(pool) >= (int)mbufs) {
            rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
            return pool;
        }
        rte_errno = ENOMEM;
    }
    rte_mempool_free(pool);
    return NULL;
}

/* af_xdp registers one range: from the pool's first chunk on, as long as all objects without any gap. An object beyond it
 * would be lost with whatever it carries, and nobody told: take such objects out of use. */
static int pool_withhold(struct gx_device *device, struct rte_mempool *pool)
{
    struct rte_mempool_memhdr *first = STAILQ_FIRST(&pool->mem_list);
    uint32_t size = rte_mempool_calc_obj_size(pool->elt_size, pool->flags, NULL);
    uintptr_t start = (uintptr_t)first->addr, end = start + (uintptr_t)pool->populated_size * size;
    struct rte_mbuf **all = calloc(pool->populated_size, sizeof(void *));
    uint32_t out = device->withheld, back = 0;
    struct rte_mbuf **list =
        realloc(device->withheld_list, (out + pool->populated_size) * sizeof(void *));

    if (list)
        device->withheld_list = list;
    if (!all || !list || rte_mempool_generic_get(pool, (void **)all, pool->populated_size, NULL)) {
        free(all);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < pool->populated_size; i++) {
        uintptr_t object = (uintptr_t)all[i] - pool->header_size;

        if (object < start || object + size > end)
            list[out++] = all[i];
        else
            all[back++] = all[i];
    }
    rte_mempool_generic_put(pool, (void *const *)all, back, NULL);
    free(all);
    device->withheld = out;
    return 0;
}

uint32_t gx_device_memory_mib(const struct gx_device_config *config)
{
    uint64_t queues = config->queue_count ? config->queue_count : 1;
    uint32_t rx = config->rx_descriptors ? config->rx_descriptors : DESCRIPTORS;
    uint32_t tx = config->tx_descriptors ? config->tx_descriptors : DESCRIPTORS;
    uint32_t frame_bytes =
        config->frame_bytes ? config->frame_bytes : MTU_DEFAULT + GX_ETHERNET_BYTES;
    /* af_xdp's buffers are larger than others', but never as large as a jumbo frame. */
    uint32_t xdp = pool_room(GX_DEVICE_AF_XDP, frame_bytes);
    uint32_t other = pool_room(GX_DEVICE_AF_PACKET, frame_bytes);
    uint64_t object = 192 + 64 + (xdp > other ? xdp : other);

    return (uint32_t)((queues * pool_mbufs(rx, tx, config->mbufs_more) * object >> 20) + 4);
}

/* ---- opening ---- */

/* A server whose process was killed leaves its socket, and the next one cannot bind. */
static void memif_unlink(const char *text)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    char role[16], abstract[8], path[sizeof(name.sun_path)];
    struct stat stat;
    int fd;

    gx_device_value(text, "role", role, sizeof(role));
    gx_device_value(text, "socket-abstract", abstract, sizeof(abstract));
    if ((strcmp(role, "server") && strcmp(role, "master")) || strcmp(abstract, "no") ||
        !gx_device_value(text, "socket", path, sizeof(path)) || lstat(path, &stat) ||
        !S_ISSOCK(stat.st_mode))
        return;
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    memcpy(name.sun_path, path, sizeof(path));
    if (connect(fd, (const struct sockaddr *)(const void *)&name, sizeof(name)) &&
        errno == ECONNREFUSED)
        unlink(path);
    close(fd);
}

static int device_fail(const struct gx_device *device, const char *what, int ret, char *error,
                       size_t error_bytes)
{
    snprintf(error, error_bytes, "device %s: %s: %s%s%s", device->name, what, strerror(-ret),
             gx_eal_said()[0] ? "; " : "", gx_eal_said());
    return ret;
}

static void print_quiet(const char *library, const char *function)
{
    void *handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
    void *(*set_print)(void *);

    if (!handle)
        return;
    *(void **)&set_print = dlsym(handle, function);
    if (set_print)
        set_print(NULL);
    dlclose(handle);
}

/* What these say without being asked would be errors in a log; they come with the driver's plugin. */
static void xdp_quiet(void)
{
    print_quiet("libbpf.so.1", "libbpf_set_print");
    print_quiet("libxdp.so.1", "libxdp_set_print");
}

static int device_probe(struct gx_device *device, const char *text, char *error, size_t error_bytes)
{
    int ret;

    if (!rte_eth_dev_get_port_by_name(device->name, &device->port_id))
        return 0; /* EAL found it, by `vdevs`, `eal:` or on the PCI bus */
    memif_unlink(text);
    if (device->kind == GX_DEVICE_MEMIF) {
        char role[16];

        /* Without a role it is a client; one that waits for its server need not say so again and again. */
        gx_device_value(text, "role", role, sizeof(role));
        device->client = strcmp(role, "server") != 0 && strcmp(role, "master") != 0;
        rte_log_set_level_pattern("pmd.net.memif", RTE_LOG_CRIT);
    }
    if (device->client && device->queue_count > 1) {
        snprintf(error, error_bytes,
                 "device %s: a memif client is started anew when its server comes, which several "
                 "workers cannot survive: set `workers: 1`, or role=server here",
                 device->name);
        return -EINVAL;
    }
    if (device->kind == GX_DEVICE_AF_XDP)
        xdp_quiet();
    /* It calls errors that a kernel lacks what only flow rules need, and that no second process listens. */
    if (device->kind == GX_DEVICE_TAP)
        rte_log_set_level_pattern("pmd.net.tap", RTE_LOG_CRIT);
    ret = rte_dev_probe(text);
    if (ret == -EFAULT && gx_device_iface_mtu(device->name)) {
        snprintf(error, error_bytes,
                 "device %s: that is an interface of the kernel: write net_af_xdp0,iface=%s",
                 device->name, device->name);
        return -EINVAL;
    }
    if (ret == -EFAULT) { /* no bus knows such a name */
        snprintf(
            error, error_bytes,
            "device %s: DPDK has no driver of that name: net_af_xdp, net_af_packet, net_memif, "
            "net_tap, or a PCI address such as 0000:01:00.0",
            device->name);
        return -ENODEV;
    }
    if (ret && device->queue_count > 1 && device->kind == GX_DEVICE_AF_XDP) {
        snprintf(error, error_bytes,
                 "device %s: cannot be opened with %u queues: %s; `ethtool -l %s` tells how many "
                 "combined ones %s has: `ethtool -L %s combined %u`, or set `workers: 1`",
                 device->name, device->queue_count, gx_eal_said(), device->iface, device->iface,
                 device->iface, device->queue_count);
        return ret;
    }
    if (ret)
        return device_fail(device,
                           gx_eal_is_pci(text)
                               ? "cannot be opened (is it bound to vfio-pci? dpdk-devbind.py "
                                 "--status tells)"
                               : "cannot be opened",
                           ret, error, error_bytes);
    if (rte_eth_dev_get_port_by_name(device->name, &device->port_id))
        return device_fail(device, "is no network device", -ENODEV, error, error_bytes);
    return 0;
}

static void device_offloads(struct gx_device *device, const struct rte_eth_dev_info *info,
                            struct rte_eth_conf *conf)
{
    uint64_t wanted = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;

    if (device->kind == GX_DEVICE_NIC)
        wanted |= RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
    wanted &= info->tx_offload_capa;
    conf->txmode.offloads = wanted;
    device->segments = wanted & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    device->ip_checksum = wanted & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
    device->udp_checksum = wanted & RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
    if (device->queue_count > 1 && info->flow_type_rss_offloads) {
        conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf->rx_adv_conf.rss_conf.rss_hf =
            (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP) & info->flow_type_rss_offloads;
    }
}

static void device_mtu(struct gx_device *device, uint32_t *frame_bytes, struct rte_eth_conf *conf,
                       const struct rte_eth_dev_info *info)
{
    uint32_t wanted = *frame_bytes ? *frame_bytes - GX_ETHERNET_BYTES : 0;
    uint16_t mtu = MTU_DEFAULT;

    if (device->iface[0] && device->kind != GX_DEVICE_NIC) {
        device->mtu = gx_device_iface_mtu(device->iface);
    } else if (device->kind == GX_DEVICE_NIC) {
        rte_eth_dev_get_mtu(device->port_id, &mtu);
        device->mtu = wanted > mtu ? wanted : mtu;
        if (device->mtu > info->max_mtu && info->max_mtu)
            device->mtu = info->max_mtu;
        conf->rxmode.mtu = device->mtu;
    } else {
        device->mtu = wanted ? wanted : MTU_DEFAULT;
    }
    if (device->mtu + GX_ETHERNET_BYTES > *frame_bytes)
        *frame_bytes = device->mtu + GX_ETHERNET_BYTES;
    device->frame_mtu = device->mtu;
}

static int queue_open(struct gx_device *device, uint16_t queue,
                      const struct gx_device_config *config, const struct rte_eth_dev_info *info,
                      uint32_t frame_bytes, char *error, size_t error_bytes)
{
    uint32_t rx = descriptors(config->rx_descriptors, &info->rx_desc_lim);
    uint32_t tx = descriptors(config->tx_descriptors, &info->tx_desc_lim);
    int socket = rte_eth_dev_socket_id(device->port_id), ret;
    struct rte_eth_txconf tx_conf = info->default_txconf;
    uint32_t mbufs = pool_mbufs(rx, tx, config->mbufs_more);
    struct gx_sockets *before;

    device->pools[queue] = pool_create(device, queue, mbufs, pool_room(device->kind, frame_bytes));
    if (!device->pools[queue]) {
        snprintf(
            error, error_bytes,
            "device %s: no memory for %u packet buffers: %s; give DPDK more with `eal: -m MiB`",
            device->name, mbufs, rte_strerror(rte_errno));
        return -ENOMEM;
    }
    if (device->kind == GX_DEVICE_AF_XDP && pool_withhold(device, device->pools[queue]))
        return device_fail(device, "checking its buffers", -ENOMEM, error, error_bytes);
    before = malloc(sizeof(*before));
    if (!before)
        return device_fail(device, "opening", -ENOMEM, error, error_bytes);
    gx_sockets_scan(before, AF_XDP);
    ret = rte_eth_rx_queue_setup(device->port_id, queue, (uint16_t)rx, (unsigned)socket, NULL,
                                 device->pools[queue]);
    if (!ret && device->kind == GX_DEVICE_AF_XDP)
        device->wake_fds[queue] = gx_sockets_new(before, 0);
    free(before);
    if (ret && device->kind == GX_DEVICE_AF_XDP)
        return device_fail(device,
                           "cannot take the interface's queue: another program (a second gxd?) has "
                           "it, there is no such queue (start_queue=), or too little memory may be "
                           "locked (ulimit -l)",
                           ret, error, error_bytes);
    if (ret)
        return device_fail(device, "receive queue", ret, error, error_bytes);
    /* Never "fast free": it skips the callbacks of external buffers. */
    tx_conf.offloads &= ~(uint64_t)RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
    ret = rte_eth_tx_queue_setup(device->port_id, queue, (uint16_t)tx, (unsigned)socket, &tx_conf);
    return ret ? device_fail(device, "transmit queue", ret, error, error_bytes) : 0;
}

static int queues_open(struct gx_device *device, const struct gx_device_config *config, char *error,
                       size_t error_bytes)
{
    struct rte_eth_conf conf = {0};
    struct rte_eth_dev_info info;
    uint32_t frame_bytes = config->frame_bytes;
    int ret = rte_eth_dev_info_get(device->port_id, &info);

    if (ret)
        return device_fail(device, "says nothing of itself", ret, error, error_bytes);
    snprintf(device->driver, sizeof(device->driver), "%s", info.driver_name);
    if (device->queue_count > info.max_rx_queues || device->queue_count > info.max_tx_queues) {
        snprintf(
            error, error_bytes,
            "device %s: has %u receive and %u transmit queues, `workers: %u` needs as many: set "
            "`workers: %u`",
            device->name, info.max_rx_queues, info.max_tx_queues, device->queue_count,
            info.max_rx_queues < info.max_tx_queues ? info.max_rx_queues : info.max_tx_queues);
        return -EINVAL;
    }
    device_offloads(device, &info, &conf);
    device_mtu(device, &frame_bytes, &conf, &info);
    ret = rte_eth_dev_configure(device->port_id, device->queue_count, device->queue_count, &conf);
    if (ret)
        return device_fail(device, "cannot be configured", ret, error, error_bytes);
    for (uint16_t queue = 0; !ret && queue < device->queue_count; queue++)
        ret = queue_open(device, queue, config, &info, frame_bytes, error, error_bytes);
    return ret;
}

int gx_device_open(struct gx_device *device, const struct gx_device_config *config, char *error,
                   size_t error_bytes)
{
    char text[GX_DEVICE_TEXT_MAX];
    struct gx_sockets *before = malloc(sizeof(*before));
    struct rte_ether_addr mac;
    int ret;

    memset(device, 0, sizeof(*device));
    device->port_id = RTE_MAX_ETHPORTS;
    device->queue_count = config->queue_count ? config->queue_count : 1;
    for (uint16_t i = 0; i < GX_DEVICE_QUEUES_MAX; i++)
        device->wake_fds[i] = -1;
    gx_eal_forget();
    if (!before || device->queue_count > GX_DEVICE_QUEUES_MAX ||
        strlen(config->device) + 64 >= sizeof(text)) {
        free(before);
        snprintf(error, error_bytes, "device '%s': too long, or more than %u queues",
                 config->device, GX_DEVICE_QUEUES_MAX);
        return -EINVAL;
    }
    snprintf(text, sizeof(text), "%s", config->device);
    ret = gx_device_name(device, text, error, error_bytes);
    if (!ret)
        ret = gx_iface_check(device, error, error_bytes);
    if (!ret) {
        gx_device_text(device, config->frame_bytes ? config->frame_bytes : MTU_DEFAULT + 14, text);
        gx_sockets_scan(before, AF_PACKET);
        ret = device_probe(device, text, error, error_bytes);
    }
    if (!ret && device->kind == GX_DEVICE_AF_PACKET)
        for (uint16_t i = 0; i < device->queue_count; i++)
            device->wake_fds[i] = gx_sockets_new(before, i);
    free(before);
    if (!ret)
        ret = queues_open(device, config, error, error_bytes);
    if (!ret)
        ret = rte_eth_macaddr_get(device->port_id, &mac);
    if (ret) {
        gx_device_close(device);
        return ret;
    }
    memcpy(device->mac, mac.addr_bytes, sizeof(device->mac));
    /* The driver tells the MAC of the kernel's end of the tap. With the same one at ours a bridge would keep for its own
     * host what is for us. */
    if (device->kind == GX_DEVICE_TAP)
        device->mac[5] ^= 1;
    device->registered = device->kind == GX_DEVICE_NIC;
    return 0;
}

int gx_device_start(struct gx_device *device, char *error, size_t error_bytes)
{
    int ret;

    gx_eal_forget();
    device->started_ns = gx_clock_ns();
    ret = rte_eth_dev_start(device->port_id);
    device->started = ret == 0;
    if (ret && !device->client)
        return device_fail(device, "does not start", ret, error, error_bytes);
    return 0;
}

void gx_device_close(struct gx_device *device)
{
    if (device->port_id < RTE_MAX_ETHPORTS) {
        struct rte_eth_dev_info info;
        bool have = rte_eth_dev_info_get(device->port_id, &info) == 0;

        rte_eth_dev_stop(device->port_id);
        rte_eth_dev_close(device->port_id);
        if (have && info.device)
            rte_dev_remove(info.device);
        device->port_id = RTE_MAX_ETHPORTS;
    }
    for (uint16_t i = 0; i < GX_DEVICE_QUEUES_MAX; i++) {
        rte_mempool_free(device->pools[i]);
        device->pools[i] = NULL;
    }
    free(device->withheld_list);
    device->withheld_list = NULL;
    device->withheld = 0;
}

void gx_device_drops(const struct gx_device *device, struct gx_device_drops *out)
{
    struct rte_eth_stats stats = {0};

    rte_eth_stats_get(device->port_id, &stats);
    *out = (struct gx_device_drops){
        .rx_missed = stats.imissed,
        .rx_errors = stats.ierrors,
        .rx_no_mbuf = stats.rx_nombuf,
        .tx_errors = stats.oerrors,
    };
}
