/* gxctl host init and fini. What init changed stands in a file, one entry a value: path, before, after, and the boot in
 * which that was. fini puts back what is still as init left it, and removes the file.
 *
 * The file is written before the value changes, so that a crash between the two loses nothing. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/host.h"
#include "snapshot.h"

#define STATE_DEFAULT "/var/lib/gx"

struct record {
    const struct gx_ctl *ctl;
    struct gx_host *host;
    char path[PATH_MAX];
    json_t *changes; /* [{path, before, after}] */
    json_t *told;    /* what is printed: [{path, before, after, result}] */
    char boot[64];
    bool made_directory;
};

/* ---- the file ---- */

static const char *directory_of(const struct record *r)
{
    return r->ctl->state ? r->ctl->state : STATE_DEFAULT;
}

static int record_save(struct record *r)
{
    char fresh[PATH_MAX + 8];

    if (mkdir(directory_of(r), 0755) == 0)
        r->made_directory = true;
    else if (errno != EEXIST)
        return gx_ctl_fail(r->ctl, GX_CTL_FAILED, "%s: cannot be made: %s%s", directory_of(r),
                           strerror(errno), errno == EACCES ? " (be root)" : "");
    json_t *object = json_object();
    snprintf(fresh, sizeof(fresh), "%s.new", r->path);
    json_object_set_new(object, "boot", json_string(r->boot));
    json_object_set_new(object, "made_directory", json_boolean(r->made_directory));
    json_object_set(object, "changes", r->changes);
    int rc = json_dump_file(object, fresh, JSON_INDENT(2)) == 0 && rename(fresh, r->path) == 0
                 ? GX_CTL_OK
                 : gx_ctl_fail(r->ctl, GX_CTL_FAILED, "%s: cannot be written: %s", r->path,
                               strerror(errno));
    json_decref(object);
    return rc;
}

/* Values do not survive a boot, so neither does a record of them. */
static void record_load(struct record *r)
{
    json_t *object;

    snprintf(r->path, sizeof(r->path), "%s/host.json", directory_of(r));
    gx_host_line(r->host, "/proc/sys/kernel/random/boot_id", r->boot, sizeof(r->boot));
    r->told = json_array();
    object = json_load_file(r->path, 0, NULL);
    const char *boot = json_string_value(json_object_get(object, "boot"));
    r->made_directory = json_is_true(json_object_get(object, "made_directory"));
    r->changes = json_is_array(json_object_get(object, "changes")) && boot && !strcmp(boot, r->boot)
                     ? json_incref(json_object_get(object, "changes"))
                     : json_array();
    json_decref(object);
}

static json_t *change_find(const struct record *r, const char *path)
{
    json_t *change;
    size_t i;

    json_array_foreach(r->changes, i, change)
    {
        const char *have = json_string_value(json_object_get(change, "path"));
        if (have && strcmp(have, path) == 0)
            return change;
    }
    return NULL;
}

/* ---- values ---- */

/* Of huge pages without those that are in use beyond the number that was set: they go by themselves, and what is
 * written does not count them. */
static bool number_of(const struct record *r, const char *path, uint64_t *value)
{
    uint64_t surplus = 0;

    if (!gx_host_number(r->host, path, value))
        return false;
    if (strcmp(path, GX_HOST_HUGE_PATH "/nr_hugepages") == 0)
        gx_host_number(r->host, GX_HOST_HUGE_PATH "/surplus_hugepages", &surplus);
    *value -= surplus < *value ? surplus : *value;
    return true;
}

static int write_number(const struct record *r, const char *path, uint64_t value)
{
    char full[PATH_MAX];

    snprintf(full, sizeof(full), "%s%s", r->host->root, path);
    FILE *f = fopen(full, "we");
    if (!f)
        return -errno;
    int rc = fprintf(f, "%llu\n", (unsigned long long)value) < 0 ? -EIO : 0;
    if (fclose(f) != 0)
        rc = -errno;
    return rc;
}

static void tell(struct record *r, const char *path, uint64_t before, uint64_t after,
                 const char *result)
{
    json_t *told = json_object();

    gx_json_text(told, "path", path);
    gx_json_u64(told, "before", before);
    gx_json_u64(told, "after", after);
    gx_json_text(told, "result", result);
    json_array_append_new(r->told, told);
}

static int fail_write(const struct record *r, const char *path, int error)
{
    return gx_ctl_fail(r->ctl, GX_CTL_FAILED, "%s: cannot be set: %s%s", path, strerror(-error),
                       error == -EACCES || error == -EPERM ? " (be root)" : "");
}

/* Raises one value; remembers the first value it had. */
static int raise_to(struct record *r, const char *path, uint64_t wanted)
{
    json_t *change = change_find(r, path);
    uint64_t before, after;

    if (!number_of(r, path, &before)) {
        tell(r, path, 0, 0, "not there");
        return GX_CTL_OK;
    }
    if (before >= wanted) {
        tell(r, path, before, before, "enough already");
        return GX_CTL_OK;
    }
    bool fresh = !change;
    if (fresh) {
        change = json_object();
        gx_json_text(change, "path", path);
        gx_json_u64(change, "before", before);
        json_array_append_new(r->changes, change);
    }
    gx_json_u64(change, "after", wanted);
    int code = record_save(r);
    if (code != GX_CTL_OK)
        return code;
    int error = write_number(r, path, wanted);
    if (!number_of(r, path, &after))
        after = before;
    if (error && fresh)
        json_array_remove(r->changes, json_array_size(r->changes) - 1);
    else
        gx_json_u64(change, "after", after); /* the kernel may grant fewer pages */
    code = record_save(r);
    if (error)
        return fail_write(r, path, error);
    tell(r, path, before, after, after >= wanted ? "raised" : "raised, less than wanted");
    return code;
}

static int put_back(struct record *r, json_t *change)
{
    const char *path = json_string_value(json_object_get(change, "path"));
    uint64_t before = (uint64_t)json_integer_value(json_object_get(change, "before"));
    uint64_t after = (uint64_t)json_integer_value(json_object_get(change, "after")), now;

    if (!path || !number_of(r, path, &now))
        return GX_CTL_OK;
    if (now != after) {
        tell(r, path, now, now, "changed by somebody else since: left as it is");
        return GX_CTL_OK;
    }
    int error = write_number(r, path, before);
    if (error)
        return fail_write(r, path, error);
    number_of(r, path, &now);
    tell(r, path, after, now,
         now == before ? "put back" : "put back as far as it goes: still in use");
    return GX_CTL_OK;
}

/* ---- the commands ---- */

static void print_told(const struct record *r)
{
    json_t *told;
    size_t i;

    if (r->ctl->json) {
        json_t *object = json_object();
        json_object_set(object, "values", r->told);
        gx_json_text(object, "record", r->path);
        gx_json_print(r->ctl, object);
        return;
    }
    json_array_foreach(r->told, i, told) fprintf(
        r->ctl->out, "%s: %lld, was %lld: %s\n", json_string_value(json_object_get(told, "path")),
        (long long)json_integer_value(json_object_get(told, "after")),
        (long long)json_integer_value(json_object_get(told, "before")),
        json_string_value(json_object_get(told, "result")));
    if (json_array_size(r->told) == 0)
        fputs("nothing to undo\n", r->ctl->out);
}

/* What gxd wants, but no more than half of the memory that is free: a machine without memory does not come back. */
static uint64_t huge_pages(const struct record *r)
{
    uint64_t wanted = gx_host_huge_pages(r->host), have = 0;
    uint64_t room = gx_host_available_bytes(r->host) / 2 / (2ull << 20);

    gx_host_number(r->host, GX_HOST_HUGE_PATH "/nr_hugepages", &have);
    return wanted < have + room ? wanted : have + room;
}

static int init_all(struct record *r)
{
    int code = GX_CTL_OK;

    for (unsigned i = 0; code == GX_CTL_OK && i < gx_host_tuning_count; i++)
        code = raise_to(r, gx_host_tunings[i].path, gx_host_tunings[i].value);
    if (code == GX_CTL_OK)
        code = raise_to(r, GX_HOST_HUGE_PATH "/nr_hugepages", huge_pages(r));
    return code;
}

static int fini_all(struct record *r)
{
    int code = GX_CTL_OK;

    /* The last first; an entry goes once its value is back, so that a failure can be tried again. */
    for (size_t i = json_array_size(r->changes); code == GX_CTL_OK && i-- > 0;) {
        code = put_back(r, json_array_get(r->changes, i));
        if (code == GX_CTL_OK)
            json_array_remove(r->changes, i);
    }
    if (code != GX_CTL_OK)
        record_save(r);
    else if (unlink(r->path) != 0 && errno != ENOENT)
        code = gx_ctl_fail(r->ctl, GX_CTL_FAILED, "%s: cannot be removed: %s", r->path,
                           strerror(errno));
    else if (r->made_directory)
        rmdir(directory_of(r)); /* stays where something else was put into it */
    return code;
}

static int change_host(const struct gx_ctl *ctl, char **arguments, int (*all)(struct record *r))
{
    struct gx_host host;
    struct record r = {.ctl = ctl, .host = &host};
    int code = gx_host_prepare(&host, ctl, arguments);

    if (code == GX_CTL_OK) {
        record_load(&r);
        code = all(&r);
        print_told(&r);
        json_decref(r.changes);
        json_decref(r.told);
    }
    gx_host_fini(&host);
    return code;
}

int gx_ctl_host_init(const struct gx_ctl *ctl, char **arguments)
{
    return change_host(ctl, arguments, init_all);
}

int gx_ctl_host_fini(const struct gx_ctl *ctl, char **arguments)
{
    return change_host(ctl, arguments, fini_all);
}
