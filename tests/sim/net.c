#include "sim/net.h"

#include <stdlib.h>
#include <string.h>

#include "sim/heap.h"
#include "sim/watch.h"
#include "wan/impair.h"

#define RECORDED 48
#define TARGETS 16
#define LATE 0.1          /* of the packets that a path loses arrive after all, seconds later */
#define SOCKET_FRAMES 600 /* a socket's buffer: a paused process loses what comes after that */

struct target {
    bool active;
    uint32_t from, to, block, shard, repairs;
    uint32_t transfer; /* fixed by the first shard seen; 0: not yet */
};

struct sim_net {
    struct sim_random random;
    struct gx_impair up[GX_SITES_MAX], down[GX_SITES_MAX];
    struct gx_impair path[GX_SITES_MAX][GX_SITES_MAX];
    int cuts[GX_SITES_MAX][GX_SITES_MAX];
    uint32_t blocked[GX_SITES_MAX]
                    [GX_SITES_MAX]; /* lanes, a bit each, that never pass between two sites */
    struct target targets[TARGETS];
    uint32_t target_next;
    struct sim_frame recorded[RECORDED]; /* packets that were taken: source and receiver as then */
    uint32_t recorded_count;
    struct sim_watch *watch;
};

struct gx_addr sim_addr(uint32_t site, uint32_t lane)
{
    struct gx_addr addr = {.b = {(uint8_t)(site + 1), 10, 201, (uint8_t)lane}};
    return addr;
}

void sim_content_release(struct sim_content *content)
{
    if (--content->uses == 0)
        free(content);
}

void sim_frame_free(struct sim_frame *frame)
{
    sim_content_release(frame->content);
    free(frame);
}

static struct sim_content *content_create(uint32_t bytes, int from, uint64_t life)
{
    struct sim_content *content = sim_alloc(sizeof(*content) + bytes);
    content->uses = 1;
    content->bytes = bytes;
    content->from = from;
    content->life = life;
    return content;
}

/* ---- the shape of the network ---- */

static struct gx_impair_burst burst_of(double loss, double length)
{
    return (struct gx_impair_burst){loss / length / (1 - loss), 1 / length, 1};
}

/* Uplinks and downlinks have exactly the sites' rate, and drop-tail queues. */
static void scene_path(const struct sim_scene *scene, struct gx_impair_config *path, uint32_t from,
                       uint32_t to)
{
    path->delay_ns = scene->delay_ns;
    path->loss = scene->loss;
    path->header_bytes = GX_FRAME_OVERHEAD_BYTES;
    if ((from == 1 && to == 2) || (from == 2 && to == 1 && scene->slow_back))
        path->rate_bps = scene->slow_bps;
}

static void path_config(struct sim_net *net, struct sim_world *world, struct gx_impair_config *path)
{
    struct sim_random *random = &net->random;
    double loss = sim_chance(random, 0.25) ? 0 : sim_unit(random) * world->params.loss_max;

    path->delay_ns = sim_between(random, SIM_MS / 2, world->params.delay_ns_max);
    if (sim_chance(random, 0.4) && loss > 0.002)
        path->burst = burst_of(loss, 2 + 10 * sim_unit(random));
    else
        path->loss = loss;
    if (sim_chance(random, 0.4))
        path->jitter_ns = sim_below(random, path->delay_ns / 2 + 1);
    path->jitter_reorders = sim_chance(random, 0.3);
    if (sim_chance(random, 0.3)) {
        path->reorder = 0.05 * sim_unit(random);
        path->reorder_ns = sim_between(random, SIM_MS / 10, 20 * SIM_MS);
    }
    path->dup = sim_chance(random, 0.3) ? 0.05 * sim_unit(random) : 0;
    path->corrupt = sim_chance(random, 0.3) ? 0.03 * sim_unit(random) : 0;
    path->header_bytes = GX_FRAME_OVERHEAD_BYTES;
}

/* A firewall that lets only some of the ports pass. */
static void lanes_block(struct sim_world *world, struct sim_net *net)
{
    struct sim_random random = sim_random_init(world->seed, 10);
    uint32_t sites = world->params.site_count;

    for (uint32_t i = 0; i < sites * sites && world->params.workers_max > 1; i++) {
        uint32_t a = i / sites, b = i % sites;
        if (a >= b || !sim_chance(&random, 0.04))
            continue;
        net->blocked[a][b] = net->blocked[b][a] = (uint32_t)sim_next(&random) & 0xfe;
        world->stats.blocked_lanes += (uint32_t)__builtin_popcount(net->blocked[a][b]);
    }
}

static void paths_slow(struct sim_world *world, struct sim_net *net)
{
    struct sim_random random = sim_random_init(world->seed, 12);
    uint32_t sites = world->params.site_count;

    for (uint64_t n = world->params.slow_bps ? sim_between(&random, 1, 3) : 0; n > 0; n--) {
        uint32_t from = (uint32_t)sim_below(&random, sites);
        uint32_t to = (from + 1 + (uint32_t)sim_below(&random, sites - 1)) % sites;
        struct gx_impair_config path = net->path[from][to].config;
        path.rate_bps = world->params.slow_bps;
        path.queue_bytes = 0;
        gx_impair_init(&net->path[from][to], &path, 0);
        world->stats.slow_paths++;
    }
}

struct sim_net *sim_net_create(struct sim_world *world)
{
    struct sim_net *net = sim_alloc(sizeof(*net));
    net->random = sim_random_init(world->seed, 2);
    net->watch = sim_watch_create();
    for (uint32_t i = 0; i < world->params.site_count; i++) {
        struct gx_impair_config link = {.seed = world->seed, .stream = 1000 + i};
        uint64_t rate = world->sites[i].config.links.rate_bps;
        /* Mostly the site sends no faster than its link; sometimes its configuration promises too much. */
        link.rate_bps = sim_chance(&net->random, 0.1) ? rate - rate / 8 : rate + rate / 50;
        if (world->scene)
            link.rate_bps = rate;
        link.queue_bytes = gx_impair_queue_bytes(link.rate_bps, world->params.delay_ns_max);
        gx_impair_init(&net->up[i], &link, 0);
        link.stream += 100;
        gx_impair_init(&net->down[i], &link, 0);
        for (uint32_t j = 0; j < world->params.site_count; j++) {
            struct gx_impair_config path = {.seed = world->seed, .stream = i * 100 + j};
            if (world->scene)
                scene_path(world->scene, &path, i, j);
            else
                path_config(net, world, &path);
            gx_impair_init(&net->path[i][j], &path, 0);
        }
    }
    lanes_block(world, net);
    paths_slow(world, net);
    return net;
}

void sim_net_destroy(struct sim_net *net)
{
    for (uint32_t i = 0; i < net->recorded_count; i++)
        sim_content_release(net->recorded[i].content);
    sim_watch_destroy(net->watch);
    free(net);
}

void sim_net_restarted(struct sim_world *world, uint32_t site)
{
    sim_watch_restarted(world->net->watch, site);
}

/* ---- faults ---- */

void sim_net_cut(struct sim_world *world, uint32_t from, uint32_t to, int change)
{
    world->net->cuts[from][to] += change;
}

void sim_net_mtu(struct sim_world *world, uint32_t from, uint32_t to, uint32_t mtu)
{
    world->net->path[from][to].config.mtu = mtu;
}

void sim_net_target(struct sim_world *world, uint32_t from, uint32_t to, uint32_t block,
                    uint32_t shard, uint32_t repairs)
{
    struct sim_net *net = world->net;
    net->targets[net->target_next++ % TARGETS] = (struct target){
        .active = true, .from = from, .to = to, .block = block, .shard = shard, .repairs = repairs};
}

void sim_net_heal(struct sim_world *world)
{
    memset(world->net->cuts, 0, sizeof(world->net->cuts));
    for (uint32_t i = 0; i < world->params.site_count; i++)
        for (uint32_t j = 0; j < world->params.site_count; j++)
            sim_net_mtu(world, i, j, 0);
}

static bool on_target(struct sim_world *world, uint32_t from, uint32_t to,
                      const struct sim_shard *shard)
{
    for (uint32_t i = 0; i < TARGETS; i++) {
        struct target *target = &world->net->targets[i];
        if (!target->active || target->from != from || target->to != to ||
            target->block != shard->block)
            continue;
        if (target->transfer == 0)
            target->transfer = shard->transfer;
        if (target->transfer != shard->transfer)
            continue;
        bool repair = shard->index >= shard->k;
        if (repair && target->repairs == 0)
            target->active = false;
        if (target->active && (repair || shard->index == target->shard % shard->k)) {
            target->repairs -= repair;
            world->stats.targeted++;
            return true;
        }
    }
    return false;
}

/* ---- the way of a packet ---- */

static void deliver(struct sim_world *world, struct sim_content *content,
                    const struct gx_addr *source, uint32_t to, uint32_t lane, uint64_t at_ns,
                    enum sim_event_kind kind)
{
    struct sim_frame *frame = sim_alloc(sizeof(*frame));
    content->uses++;
    *frame = (struct sim_frame){.content = content, .source = *source, .to = to, .lane = lane};
    sim_schedule(world, at_ns, kind, to, 0, 0, 0, frame);
}

/* A copy with one bit flipped; whoever takes it has not looked at the tag. */
static struct sim_content *corrupted(struct sim_world *world, const struct sim_content *content,
                                     uint64_t bit)
{
    struct sim_content *bad = content_create(content->bytes, content->from, content->life);
    memcpy(bad->data, content->data, content->bytes);
    bad->data[bit / 8] ^= (uint8_t)(1u << (bit & 7));
    bad->hostile = true;
    world->stats.corrupted++;
    return bad;
}

static void cross(struct sim_world *world, struct sim_content *content, uint32_t from, uint32_t to,
                  uint32_t lane, uint64_t at_ns)
{
    struct gx_verdict path;
    uint32_t frame_bytes = content->bytes + GX_FRAME_OVERHEAD_BYTES;
    struct gx_addr source = sim_addr(from, content->lane);

    gx_impair_packet(&world->net->path[from][to], at_ns, frame_bytes, &path);
    if (path.cause != GX_IMPAIR_NONE) {
        world->stats.lost_packets++;
        world->stats.oversize += path.cause == GX_IMPAIR_MTU;
        if (world->scene || path.cause == GX_IMPAIR_MTU || !sim_chance(&world->net->random, LATE))
            return;
        world->stats.late++;
        path.copies = 1;
        path.deliver_ns[0] = at_ns + sim_between(&world->net->random, 50 * SIM_MS, 2 * SIM_S);
    }
    for (uint32_t i = 0; i < path.copies; i++) {
        if (i == 0 && path.corrupt_bit >= 0 && (uint64_t)path.corrupt_bit < 8ull * content->bytes) {
            struct sim_content *bad = corrupted(world, content, (uint64_t)path.corrupt_bit);
            deliver(world, bad, &source, to, lane, path.deliver_ns[i], SIM_EVENT_DOWNLINK);
            sim_content_release(bad);
        } else {
            deliver(world, content, &source, to, lane, path.deliver_ns[i], SIM_EVENT_DOWNLINK);
        }
    }
}

/* Other bytes under a right tag: only `security: none` has one that can be made so. */
static void lie(struct sim_content *content)
{
    content->data[content->bytes - 1] ^= 1;
    gx_header_checksum(content->data, content->data + GX_HEADER_BYTES,
                       content->bytes - GX_HEADER_BYTES);
}

static uint32_t site_of(const struct sim_world *world, const struct gx_addr *addr)
{
    for (uint32_t i = 0; i < world->params.site_count; i++) {
        struct gx_addr site = sim_addr(i, addr->b[3] % GX_WORKERS_MAX);
        if (memcmp(&site, addr, sizeof(site)) == 0)
            return i;
    }
    return GX_SITES_MAX;
}

void sim_net_send(struct sim_world *world, uint32_t from, uint32_t lane,
                  const struct gx_packet *packet)
{
    struct sim_net *net = world->net;
    uint32_t to = site_of(world, &packet->to), to_lane = packet->to.b[3];
    struct sim_shard shard;
    struct gx_verdict up;

    /* A hello may come from an address that is new, and is answered there; nothing else goes to strangers. */
    if (to >= world->params.site_count && (packet->header[0] & 15) == 0)
        return;
    if (to >= world->params.site_count || to == from ||
        packet->payload_bytes > GX_PAYLOAD_MAX_BYTES) {
        sim_fail(world, "WIRE", "site %u sends %u bytes to an address that no peer has", from,
                 packet->payload_bytes);
        return;
    }
    struct sim_content *content =
        content_create(GX_HEADER_BYTES + packet->payload_bytes, (int)from, world->sites[from].life);
    content->lane = lane;
    memcpy(content->data, packet->header, GX_HEADER_BYTES);
    if (packet->payload_bytes > 0)
        memcpy(content->data + GX_HEADER_BYTES, packet->payload, packet->payload_bytes);
    world->stats.packets++;
    world->trace_hash =
        sim_mix(world->trace_hash ^ world->now_ns ^ content->bytes * 131ull ^ content->data[8]);
    bool is_shard = sim_watch_packet(world, net->watch, from, to, content, &shard);
    if (is_shard && shard.lie)
        lie(content);
    gx_impair_packet(&net->up[from], world->now_ns, content->bytes + GX_FRAME_OVERHEAD_BYTES, &up);
    if (world->scene && world->scene->on_frame && up.cause == GX_IMPAIR_NONE)
        world->scene->on_frame(world->scene->ctx, to, up.left_ns,
                               content->bytes + GX_FRAME_OVERHEAD_BYTES);
    if (up.cause != GX_IMPAIR_NONE || net->cuts[from][to] > 0 ||
        net->blocked[from][to] >> to_lane & 1)
        world->stats.lost_packets++;
    else if (!(is_shard && on_target(world, from, to, &shard)))
        cross(world, content, from, to, to_lane, up.left_ns);
    sim_content_release(content);
}

void sim_net_downlink(struct sim_world *world, struct sim_frame *frame)
{
    struct gx_verdict down;

    gx_impair_packet(&world->net->down[frame->to], world->now_ns,
                     frame->content->bytes + GX_FRAME_OVERHEAD_BYTES, &down);
    if (down.cause != GX_IMPAIR_NONE ||
        world->sites[frame->to].workers[frame->lane].inbox_count >= SOCKET_FRAMES) {
        world->stats.lost_packets++;
        sim_frame_free(frame);
        return;
    }
    sim_schedule(world, down.deliver_ns[0], SIM_EVENT_ARRIVE, frame->to, 0, 0, 0, frame);
}

/* ---- old and forged packets ---- */

static void record(struct sim_net *net, struct sim_frame *frame)
{
    uint32_t at;
    if (net->recorded_count < RECORDED)
        at = net->recorded_count++;
    else if (sim_chance(&net->random, 0.02))
        at = (uint32_t)sim_below(&net->random, RECORDED);
    else
        return;
    if (net->recorded[at].content)
        sim_content_release(net->recorded[at].content);
    net->recorded[at] = *frame;
    frame->content->uses++;
}

void sim_net_judge(struct sim_world *world, struct sim_worker *worker, struct sim_frame *frame,
                   bool taken)
{
    uint32_t site = worker->site->index;
    struct sim_content *content = frame->content;
    unsigned type = content->bytes > 0 ? content->data[0] & 15u : 0;

    if (taken && content->hostile)
        sim_fail(world, "FORGED",
                 "site %u took a packet of type %u and %u bytes that nobody sent like this", site,
                 type, content->bytes);
    else if (taken && content->accepted)
        sim_fail(world, "REPLAY", "site %u took a packet of type %u and %u bytes a second time",
                 site, type, content->bytes);
    if (taken && content->from >= 0) {
        uint64_t *newest = &worker->peer_life[content->from];
        if (content->life < *newest)
            sim_fail(world, "R3", "site %u took a packet of type %u of an earlier gxd of site %d",
                     site, type, content->from);
        *newest = content->life;
    }
    if (!content->hostile && !content->accepted && (taken || type == 0))
        record(world->net, frame);
    content->accepted |= taken;
}

static void replay(struct sim_world *world)
{
    struct sim_net *net = world->net;
    const struct sim_frame *old = &net->recorded[sim_below(&net->random, net->recorded_count)];
    struct gx_addr source = sim_chance(&net->random, 0.8) ? old->source : sim_addr(77, 0);

    deliver(world, old->content, &source, old->to, old->lane, world->now_ns, SIM_EVENT_ARRIVE);
    world->stats.replayed++;
}

static struct sim_content *forge(struct sim_world *world)
{
    struct sim_net *net = world->net;
    struct sim_random *random = &net->random;
    struct sim_content *content;

    if (net->recorded_count > 0 && sim_chance(random, 0.7)) {
        const struct sim_content *old =
            net->recorded[sim_below(random, net->recorded_count)].content;
        uint32_t bytes =
            sim_chance(random, 0.5) ? old->bytes : (uint32_t)sim_below(random, old->bytes);
        content = content_create(bytes, -1, 0);
        memcpy(content->data, old->data, bytes);
        for (uint64_t flips = sim_below(random, 4) + (bytes == old->bytes); bytes > 0 && flips > 0;
             flips--)
            content->data[sim_below(random, bytes < 80 || sim_chance(random, 0.3) ? bytes : 48)] ^=
                (uint8_t)(1u << sim_below(random, 8));
        if (bytes == old->bytes && memcmp(content->data, old->data, bytes) == 0)
            content->data[bytes - 1] ^= 1;
    } else {
        content = content_create((uint32_t)sim_below(random, 1500), -1, 0);
        for (uint32_t i = 0; i < content->bytes; i++)
            content->data[i] = (uint8_t)sim_next(random);
        if (content->bytes > 0)
            content->data[0] = (uint8_t)(0x10 | sim_below(random, 6));
    }
    content->hostile = true;
    return content;
}

void sim_net_harass(struct sim_world *world)
{
    struct sim_net *net = world->net;

    if (!sim_chance(&net->random, world->params.hostile))
        return;
    if (net->recorded_count > 0 && sim_chance(&net->random, 0.5)) {
        replay(world);
        return;
    }
    uint32_t to = (uint32_t)sim_below(&net->random, world->params.site_count);
    uint32_t as = (uint32_t)sim_below(&net->random, world->params.site_count + 1);
    uint32_t lane = world->params.workers_max > 1
                        ? (uint32_t)sim_below(&net->random, world->params.workers_max)
                        : 0;
    struct gx_addr source = sim_addr(as == world->params.site_count ? 99 : as, lane);
    struct sim_content *content = forge(world);
    deliver(world, content, &source, to, lane, world->now_ns, SIM_EVENT_ARRIVE);
    sim_content_release(content);
    world->stats.hostile++;
}
