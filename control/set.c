#include <string.h>

#include "config.h"
#include "request.h"
#include "snapshot.h"
#include "units.h"

enum kind { KIND_RATE, KIND_DURATION, KIND_LEVEL };

static const struct setting {
    const char *name;
    enum kind kind;
    const char *json, *help;
} settings[] = {
#define GX_SETTING(id, name, kind, json, config_key, help) {name, KIND_##kind, json, help},
#include "settings.def"
#undef GX_SETTING
};

static const char *value_text(const struct setting *setting, uint64_t value, char *out)
{
    switch (setting->kind) {
    case KIND_RATE:
        return gx_units_format_rate(out, value);
    case KIND_DURATION:
        return gx_units_format_duration(out, value);
    case KIND_LEVEL:
        return value <= GX_LOG_DEBUG ? gx_log_level_name((enum gx_log_level)value) : "?";
    }
    return "?";
}

static json_t *value_json(const struct setting *setting, uint64_t value)
{
    char text[GX_UNITS_TEXT_MAX];

    if (setting->kind == KIND_LEVEL)
        return json_string(value_text(setting, value, text));
    return setting->kind == KIND_RATE ? json_integer((json_int_t)value)
                                      : json_real((double)value / 1e9);
}

/* "a.b=c" → setting and value; the message names all settings. */
static int parse(const struct gx_ctl *ctl, const char *word, struct gx_control_request *request)
{
    const char *equals = strchr(word, '=');
    char names[256] = "";

    for (uint32_t i = 0; i < GX_SETTING_COUNT; i++) {
        size_t at = strlen(names);
        snprintf(names + at, sizeof(names) - at, "%s%s", i ? ", " : "", settings[i].name);
    }
    if (!equals)
        return gx_ctl_fail(ctl, GX_CTL_USAGE, "'%s' lacks a value: write site.rate=200Mbit", word);
    memset(request, 0, sizeof(*request));
    request->command = GX_CONTROL_SET;
    for (; request->setting < GX_SETTING_COUNT; request->setting++)
        if (strlen(settings[request->setting].name) == (size_t)(equals - word) &&
            strncmp(word, settings[request->setting].name, (size_t)(equals - word)) == 0)
            break;
    if (request->setting == GX_SETTING_COUNT)
        return gx_ctl_fail(ctl, GX_CTL_USAGE,
                           "'%.*s' cannot be set while gxd runs; %s can; the rest: in the config "
                           "file, then restart gxd",
                           (int)(equals - word), word, names);
    if (strlen(equals + 1) >= sizeof(request->value))
        return gx_ctl_fail(ctl, GX_CTL_USAGE, "'%s' is too long", equals + 1);
    strcpy(request->value, equals + 1);
    return GX_CTL_OK;
}

int gx_ctl_set(const struct gx_ctl *ctl, char **arguments)
{
    json_t *object = json_object();
    struct gx_control_request request;
    struct gx_control_reply reply;
    int code = GX_CTL_OK;

    for (int i = 0; code == GX_CTL_OK && i < ctl->argument_count; i++)
        code = parse(ctl, arguments[i], &request); /* all, before the first is sent */
    for (int i = 0; code == GX_CTL_OK && i < ctl->argument_count; i++) {
        parse(ctl, arguments[i], &request);
        code = gx_request(ctl, &request, &reply);
        if (code != GX_CTL_OK)
            break;
        const struct setting *setting = &settings[request.setting];
        char before[GX_UNITS_TEXT_MAX], after[GX_UNITS_TEXT_MAX], key[64];
        snprintf(key, sizeof(key), "%s_before", setting->json);
        json_object_set_new(object, setting->json, value_json(setting, reply.after));
        json_object_set_new(object, key, value_json(setting, reply.before));
        if (!ctl->json)
            fprintf(ctl->out, "%s is %s, was %s; the config file is unchanged\n", setting->name,
                    value_text(setting, reply.after, after),
                    value_text(setting, reply.before, before));
    }
    if (ctl->json && json_object_size(object))
        gx_json_print(ctl, object);
    else
        json_decref(object);
    return code;
}
