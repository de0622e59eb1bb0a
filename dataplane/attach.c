#include "attach.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "units.h"

/* ---- memory ---- */

static void memory_count(struct gx_control_socket *control)
{
    uint64_t arenas = 0, staging = 0;

    for (uint32_t i = 0; i < GX_CLIENTS_MAX; i++) {
        const struct gx_client *client = &control->clients[i];

        if (client->state == GX_CLIENT_FREE || !client->trainer.map.base)
            continue;
        arenas += client->trainer.map.bytes;
        staging += client->staging_bytes;
    }
    control->counters->site[GX_SITE_arena_bytes] = arenas;
    control->counters->site[GX_SITE_staging_bytes] = staging;
}

/* Tells the port of memory that it will send from, or will no more. A port that refuses copies instead. */
static void memory_tell(struct gx_control_socket *control, const struct gx_map *map, bool add)
{
    struct gx_port *port = control->worker->port;
    int ret = 0;

    if (!port || !map->base)
        return;
    if (add && port->ops->memory_add)
        ret = port->ops->memory_add(port, map->base, map->bytes);
    else if (!add && port->ops->memory_remove)
        port->ops->memory_remove(port, map->base, map->bytes);
    if (ret)
        gx_warn_log("port: cannot register an arena's memory: %s; its packets are copied",
                    strerror(-ret));
}

void gx_attach_release(struct gx_control_socket *control, struct gx_client *client)
{
    struct gx_trainer *trainer = &client->trainer;

    if (trainer->run)
        gx_run_destroy(trainer->run);
    memory_tell(control, &trainer->map, false);
    gx_map_close(&trainer->map);
    if (trainer->wake_gxd >= 0)
        close(trainer->wake_gxd);
    if (trainer->wake_trainer >= 0)
        close(trainer->wake_trainer);
    memory_count(control);
}

/* ---- answers ---- */

static void reply_send(const struct gx_control_socket *control, const struct gx_client *client,
                       int error, enum gx_reason reason, const char *text)
{
    struct gx_attach_reply reply = {.version = GX_ATTACH_VERSION,
                                    .error = error,
                                    .reason = (uint32_t)reason,
                                    .site_index = control->config->self,
                                    .site_count = control->config->site_count};

    for (uint32_t i = 0; i < control->config->site_count; i++)
        memcpy(reply.site_names[i], control->config->sites[i].name, GX_NAME_MAX);
    snprintf(reply.text, sizeof(reply.text), "%s", text);
    /* A client whose socket is full hears nothing: it hangs up or is hung up on anyway. */
    if (client->fd >= 0)
        send(client->fd, &reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void gx_attach_refuse(struct gx_control_socket *control, struct gx_client *client, int error,
                      enum gx_reason reason, const char *text)
{
    /* Who is told to come again does so several times a second. */
    enum gx_log_level level = error == -EAGAIN ? GX_LOG_DEBUG : GX_LOG_WARN;

    gx_log(level, "trainer refused (pid %d, uid %u, run '%.31s'): %s", (int)client->pid,
           (unsigned)client->uid, client->request.run, text);
    reply_send(control, client, error, reason, text);
    gx_control_free(control, client);
}

/* ---- the request ---- */

/* The one that has this run already, if any. */
static struct gx_client *run_holder(struct gx_control_socket *control,
                                    const struct gx_client *asking)
{
    for (uint32_t i = 0; i < GX_CLIENTS_MAX; i++) {
        struct gx_client *other = &control->clients[i];

        if (other != asking && other->state >= GX_CLIENT_FILLING &&
            other->state <= GX_CLIENT_LEAVING && !strcmp(other->request.run, asking->request.run))
            return other;
    }
    return NULL;
}

/* A trainer that has gone may have left a state that other sites could need: whoever is here needs the room more. */
static void leaver_yield(struct gx_control_socket *control, struct gx_client *leaver)
{
    struct gx_order order = {.type = GX_ORDER_YIELD, .trainer = &leaver->trainer};

    if (!leaver->yields)
        gx_worker_order(control->worker, &order);
    leaver->yields = true;
}

static bool leavers_yield(struct gx_control_socket *control)
{
    bool any = false;

    for (uint32_t i = 0; i < GX_CLIENTS_MAX; i++)
        if (control->clients[i].state == GX_CLIENT_LEAVING) {
            leaver_yield(control, &control->clients[i]);
            any = true;
        }
    return any;
}

/* False: `memory:` is too small; the text has the sum and the key. */
static bool memory_fits(const struct gx_control_socket *control, uint64_t arena_bytes,
                        uint64_t staging_bytes, char *text)
{
    const uint64_t *site = control->counters->site;
    uint64_t used = site[GX_SITE_arena_bytes] + site[GX_SITE_staging_bytes];
    uint64_t budget = control->config->memory_bytes, sum = used + arena_bytes + staging_bytes;
    char a[GX_UNITS_TEXT_MAX], s[GX_UNITS_TEXT_MAX], u[GX_UNITS_TEXT_MAX], b[GX_UNITS_TEXT_MAX];

    if (sum <= budget && arena_bytes <= budget && staging_bytes <= budget)
        return true;
    snprintf(
        text, GX_MAP_TEXT_MAX,
        "needs %s for its arena and %s for staging, %s are in use by other runs, together %" PRIu64
        " bytes; the config allows %s: set `memory: %" PRIu64 "MiB` or more",
        gx_units_format_bytes(a, arena_bytes), gx_units_format_bytes(s, staging_bytes),
        gx_units_format_bytes(u, used), sum, gx_units_format_bytes(b, budget), (sum >> 20) + 1);
    return false;
}

static bool is_eventfd(int fd)
{
    char link[64], target[64];
    ssize_t bytes;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    bytes = readlink(link, target, sizeof(target) - 1);
    if (bytes < 0)
        return false;
    target[bytes] = '\0';
    return !strcmp(target, "anon_inode:[eventfd]");
}

/* Checks everything that can be checked without touching the arena. */
static int attach_check(struct gx_control_socket *control, struct gx_client *client, int arena_fd,
                        uint64_t *arena_bytes, enum gx_reason *reason, char *text)
{
    const struct gx_links_config *links = &control->core_config->links;
    struct gx_client *holder;
    int64_t bytes;

    *reason = GX_REASON_COMMAND;
    if (client->request.version_min > GX_ATTACH_VERSION ||
        client->request.version_max < GX_ATTACH_VERSION) {
        *reason = GX_REASON_VERSION;
        snprintf(text, GX_MAP_TEXT_MAX, "this gxd speaks attach version %u, the trainer %u to %u",
                 GX_ATTACH_VERSION, client->request.version_min, client->request.version_max);
        return -EPROTO;
    }
    if (gx_map_schema(&client->schema, &client->request, text))
        return -EINVAL;
    holder = run_holder(control, client);
    if (holder) {
        *reason = GX_REASON_BUSY;
        if (holder->state == GX_CLIENT_LEAVING)
            leaver_yield(control, holder);
        snprintf(
            text, GX_MAP_TEXT_MAX,
            holder->state == GX_CLIENT_LEAVING
                ? "the last offer of an earlier trainer (pid %d) is still being sent: try again"
                : "another trainer (pid %d) serves this run here: stop it, or use another name",
            (int)holder->pid);
        return holder->state == GX_CLIENT_LEAVING ? -EAGAIN : -EBUSY;
    }
    if (!is_eventfd(client->trainer.wake_gxd) || !is_eventfd(client->trainer.wake_trainer)) {
        snprintf(text, GX_MAP_TEXT_MAX, "the second and third descriptor must be eventfds");
        return -EINVAL;
    }
    bytes = gx_map_check(&client->schema, &client->request, arena_fd, text);
    if (bytes < 0)
        return (int)bytes;
    client->staging_bytes = gx_run_staging_bytes(&client->schema, links->site_count,
                                                 links->shard_bytes, links->workers);
    if (!memory_fits(control, (uint64_t)bytes, client->staging_bytes, text)) {
        *reason = GX_REASON_MEMORY;
        /* What trainers that have gone still hold is about to be free. */
        return leavers_yield(control) ? -EAGAIN : -ENOMEM;
    }
    *arena_bytes = (uint64_t)bytes;
    return 0;
}

void gx_attach_begin(struct gx_control_socket *control, struct gx_client *client,
                     const int descriptors[GX_ATTACH_DESCRIPTORS])
{
    char text[GX_MAP_TEXT_MAX] = "";
    enum gx_reason reason;
    uint64_t arena_bytes = 0;
    int ret;

    client->request.run[GX_NAME_MAX - 1] = '\0';
    client->trainer.wake_gxd = descriptors[1];
    client->trainer.wake_trainer = descriptors[2];
    client->trainer.fragment_count = client->request.fragment_count;
    ret = attach_check(control, client, descriptors[0], &arena_bytes, &reason, text);
    if (!ret)
        ret = gx_map_open(&client->trainer.map, &client->schema, descriptors[0], arena_bytes, text);
    close(descriptors[0]); /* the mapping keeps it */
    if (ret) {
        gx_attach_refuse(control, client, ret, reason, text);
        return;
    }
    client->state = GX_CLIENT_FILLING;
    memory_count(control);
}

void gx_attach_fill(struct gx_control_socket *control, struct gx_client *client)
{
    struct gx_order order = {.type = GX_ORDER_ATTACH, .trainer = &client->trainer};
    int ret = gx_map_populate(&client->trainer.map);

    if (ret > 0)
        return;
    if (ret < 0) {
        char text[GX_MAP_TEXT_MAX];

        snprintf(text, sizeof(text), "cannot make the arena's pages present: %s", strerror(-ret));
        gx_attach_refuse(control, client, ret, GX_REASON_MEMORY, text);
        return;
    }
    memory_tell(control, &client->trainer.map, true);
    client->trainer.run = gx_run_create(&client->schema, control->core_config,
                                        client->trainer.map.base, client->trainer.map.bytes);
    if (!client->trainer.run) {
        gx_attach_refuse(control, client, -ENOMEM, GX_REASON_MEMORY,
                         "the system has no memory left for staging: lower `memory:` or free some");
        return;
    }
    client->state = GX_CLIENT_JOINING;
    gx_worker_order(control->worker, &order);
}

void gx_attach_joined(struct gx_control_socket *control, struct gx_client *client,
                      const struct gx_notice *notice)
{
    struct gx_order order = {.type = GX_ORDER_DETACH, .trainer = &client->trainer};
    char arena[GX_UNITS_TEXT_MAX], staging[GX_UNITS_TEXT_MAX];

    if (notice->error) {
        bool room = notice->error == -ENOSPC && leavers_yield(control);

        /* libgx tries again on -EAGAIN. */
        gx_attach_refuse(control, client, notice->error == -EBUSY || room ? -EAGAIN : notice->error,
                         notice->reason, gx_reason_text(notice->reason));
        return;
    }
    gx_info_log("run '%s': trainer %s (pid %d, uid %u), %u fragments, arena %s, staging %s",
                client->request.run, client->request.again ? "attached again" : "registered",
                (int)client->pid, (unsigned)client->uid, client->request.fragment_count,
                gx_units_format_bytes(arena, client->trainer.map.bytes),
                gx_units_format_bytes(staging, client->staging_bytes));
    client->state = GX_CLIENT_SERVED;
    if (client->fd >= 0) {
        reply_send(control, client, 0, GX_REASON_NONE, "");
        return;
    }
    client->state = GX_CLIENT_LEAVING;
    gx_worker_order(control->worker, &order);
}

void gx_attach_broken(struct gx_control_socket *control, struct gx_client *client,
                      const struct gx_notice *notice)
{
    gx_error_log("run '%s': trainer (pid %d) is broken and was dropped: %s", client->request.run,
                 (int)client->pid, notice->text);
    reply_send(control, client, -EPIPE, notice->reason, notice->text);
    gx_control_hang_up(client);
    client->state = GX_CLIENT_LEAVING;
}
