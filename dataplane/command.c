#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_file.h"
#include "log.h"
#include "units.h"

/* Every instruction of the operator is in the log, with who gave it. */
#define command_log(client, format, ...)                                                           \
    gx_info_log("gxctl (pid %d, uid %u) " format, (int)(client)->pid, (unsigned)(client)->uid,     \
                ##__VA_ARGS__)

enum kind { KIND_RATE, KIND_DURATION, KIND_LEVEL };

static const struct setting {
    const char *name;
    enum kind kind;
} settings[] = {
#define GX_SETTING(id, name, kind, json, config_key, help) {name, KIND_##kind},
#include "settings.def"
#undef GX_SETTING
};

static void refuse(struct gx_control_socket *control, struct gx_client *client, int error,
                   const char *text)
{
    gx_control_reply_send(control, client, error, 0, 0, text);
}

/* ---- set ---- */

/* 0, or -EINVAL with what would be right in `error`. */
static int value_parse(const struct setting *setting, const char *text, uint64_t *value,
                       const char **error)
{
    enum gx_log_level level;

    switch (setting->kind) {
    case KIND_RATE:
        *error = GX_UNITS_RATE;
        return gx_units_rate(text, value) || !*value ? -EINVAL : 0;
    case KIND_DURATION:
        *error = GX_UNITS_DURATION " (at most 24h)";
        return gx_units_duration(text, value) || !*value || *value > GX_DEADLINE_NS_MAX ? -EINVAL
                                                                                        : 0;
    case KIND_LEVEL:
        *error = "error, warn, info or debug";
        if (gx_log_level_parse(text, &level))
            return -EINVAL;
        *value = level;
        return 0;
    }
    return -EINVAL;
}

/* Where the config keeps it. */
static uint64_t setting_now(const struct gx_config *config, uint32_t setting)
{
    switch ((enum gx_setting)setting) {
    case GX_SETTING_SITE_RATE:
        return config->rate_bps;
    case GX_SETTING_RUN_DEADLINE:
        return config->deadline_ns;
    case GX_SETTING_LOG_LEVEL:
        return config->log_level;
    case GX_SETTING_COUNT:
        break;
    }
    return 0;
}

static bool given(const struct gx_config *config, enum gx_config_key key)
{
    return config->given >> key & 1;
}

/* The worker has it; now the config and the counters say so. */
static void setting_keep(struct gx_control_socket *control, uint32_t setting, uint64_t value)
{
    struct gx_config *config = control->config;

    switch ((enum gx_setting)setting) {
    case GX_SETTING_SITE_RATE:
        config->rate_bps = value;
        config->given |= 1ull << GX_KEY_rate;
        if (!given(config, GX_KEY_recv_rate))
            config->recv_rate_bps = value;
        if (control->stat)
            control->stat->rate_bps = value;
        break;
    case GX_SETTING_RUN_DEADLINE:
        config->deadline_ns = value;
        config->given |= 1ull << GX_KEY_deadline;
        break;
    case GX_SETTING_LOG_LEVEL:
        config->log_level = (enum gx_log_level)value;
        config->given |= 1ull << GX_KEY_log_level;
        gx_log_level(config->log_level);
        break;
    case GX_SETTING_COUNT:
        break;
    }
}

static void set_begin(struct gx_control_socket *control, struct gx_client *client)
{
    struct gx_control_request *request = &client->command;
    struct gx_order order = {.cookie = client->cookie};
    const char *right = "";
    char text[256];

    request->value[sizeof(request->value) - 1] = '\0';
    if (request->setting >= GX_SETTING_COUNT) {
        refuse(control, client, -EINVAL, "no such setting");
        return;
    }
    if (value_parse(&settings[request->setting], request->value, &client->value, &right)) {
        snprintf(text, sizeof(text), "%s: '%s' is not %s", settings[request->setting].name,
                 request->value, right);
        refuse(control, client, -EINVAL, text);
        return;
    }
    client->before = setting_now(control->config, request->setting);
    command_log(client, "sets %s to %s", settings[request->setting].name, request->value);
    order.value = client->value;
    switch ((enum gx_setting)request->setting) {
    case GX_SETTING_SITE_RATE:
        order.type = GX_ORDER_RATE;
        order.recv_rate_bps = given(control->config, GX_KEY_recv_rate)
                                  ? control->config->recv_rate_bps
                                  : client->value;
        break;
    case GX_SETTING_RUN_DEADLINE:
        order.type = GX_ORDER_DEADLINE;
        break;
    case GX_SETTING_LOG_LEVEL:
    case GX_SETTING_COUNT:
        setting_keep(control, request->setting, client->value);
        gx_control_reply_send(control, client, 0, client->before, client->value, "");
        return;
    }
    gx_worker_order(control->worker, &order);
}

/* ---- config ---- */

static void config_send(struct gx_control_socket *control, struct gx_client *client)
{
    char text[GX_CONTROL_TEXT_MAX] = "";
    FILE *out = fmemopen(text, sizeof(text), "w");

    if (!out) {
        refuse(control, client, -ENOMEM, "out of memory");
        return;
    }
    gx_config_print(control->config, out);
    fclose(out);
    gx_control_reply_send(control, client, 0, 0, 0, text);
}

/* ---- all ---- */

static void leave_begin(struct gx_control_socket *control, struct gx_client *client)
{
    struct gx_order order = {.type = GX_ORDER_LEAVE};

    command_log(client, "asks to leave");
    control->leave_asked = true;
    gx_worker_order(control->worker, &order);
}

static void rewind_begin(struct gx_control_socket *control, struct gx_client *client)
{
    struct gx_order order = {.type = GX_ORDER_REWIND, .cookie = client->cookie};

    client->command.run[GX_NAME_MAX - 1] = '\0';
    command_log(client, "asks to rewind run '%s'", client->command.run);
    memcpy(order.run, client->command.run, sizeof(order.run));
    gx_worker_order(control->worker, &order);
}

void gx_command_begin(struct gx_control_socket *control, struct gx_client *client,
                      const struct gx_control_request *request)
{
    client->state = GX_CLIENT_COMMANDING;
    client->command = *request;
    if (request->version != GX_CONTROL_VERSION) {
        refuse(control, client, -EPROTO,
               "this gxd speaks another version of gxctl's commands: use the gxctl that came with "
               "it");
        return;
    }
    switch (request->command) {
    case GX_CONTROL_LEAVE:
        leave_begin(control, client);
        break;
    case GX_CONTROL_REWIND:
        rewind_begin(control, client);
        break;
    case GX_CONTROL_SET:
        set_begin(control, client);
        break;
    case GX_CONTROL_CONFIG:
        config_send(control, client);
        break;
    default:
        refuse(control, client, -EINVAL, "no such command");
        break;
    }
}

static void rewind_end(struct gx_control_socket *control, struct gx_client *client, int error)
{
    refuse(control, client, error,
           error == -ENOENT  ? "the coordinator knows no such run"
           : error == -EPERM ? "this site is not the coordinator: ask at the first site of the list"
           : error           ? strerror(-error)
                             : "");
}

static void set_end(struct gx_control_socket *control, struct gx_client *client, int error)
{
    uint32_t setting = client->command.setting;
    char text[256];

    if (error) {
        snprintf(text, sizeof(text),
                 "%s: this site is not the coordinator, whose value counts: set "
                 "it at %s",
                 settings[setting].name, control->config->sites[0].name);
        refuse(control, client, error, error == -EPERM ? text : strerror(-error));
        return;
    }
    setting_keep(control, setting, client->value);
    gx_control_reply_send(control, client, 0, client->before, client->value, "");
}

void gx_command_obeyed(struct gx_control_socket *control, const struct gx_notice *notice)
{
    for (uint32_t i = 0; i < GX_CLIENTS_MAX; i++) {
        struct gx_client *client = &control->clients[i];

        if (client->state != GX_CLIENT_COMMANDING || client->cookie != notice->cookie)
            continue;
        if (client->command.command == GX_CONTROL_SET)
            set_end(control, client, notice->error);
        else
            rewind_end(control, client, notice->error);
    }
}

void gx_command_left(struct gx_control_socket *control)
{
    for (uint32_t i = 0; i < GX_CLIENTS_MAX; i++)
        if (control->clients[i].state == GX_CLIENT_COMMANDING &&
            control->clients[i].command.command == GX_CONTROL_LEAVE)
            gx_control_reply_send(control, &control->clients[i], 0, 0, 0, "");
}
