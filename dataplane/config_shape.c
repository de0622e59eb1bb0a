#include "config_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <yaml.h>

#define WORD_MAX 64

#define TYPE_NAME "name"
#define TYPE_ADDRESS "address"
#define TYPE_NETWORK "network"
#define TYPE_HOST "host"
#define TYPE_CPUS "CPUs"
#define TYPE_TEXT "text"
#define TYPE_PATH "path"
#define TYPE_RATE "rate"
#define TYPE_BYTES "size"
#define TYPE_DURATION "duration"
#define TYPE_COUNT "whole number"
#define TYPE_CHOICE "choice"

const struct gx_config_key_row gx_config_keys[GX_KEY_COUNT] = {
#define GX_KEY(id, path, type, text, help) {path, TYPE_##type, text, false, help},
#define GX_KEY_DERIVED(id, path, type, text, help) {path, TYPE_##type, text, true, help},
#define GX_KEY_REQUIRED(id, path, type, help) {path, TYPE_##type, NULL, false, help},
#include "config.def"
#undef GX_KEY
#undef GX_KEY_DERIVED
#undef GX_KEY_REQUIRED
};

static const char *const scope_prefixes[GX_SCOPE_COUNT] = {"", "port.", "log.", "sites[]."};

int gx_config_fail(struct gx_config_file *file, unsigned line, const char *format, ...)
{
    va_list args;
    int at = snprintf(file->error, file->error_bytes, "%s:%u: ", file->path, line ? line : 1);

    if (at >= 0 && (size_t)at < file->error_bytes) {
        va_start(args, format);
        vsnprintf(file->error + at, file->error_bytes - (size_t)at, format, args);
        va_end(args);
    }
    return -EINVAL;
}

/* ---- keys ---- */

enum gx_config_scope gx_config_key_scope(int key)
{
    for (int scope = GX_SCOPE_TOP + 1; scope < GX_SCOPE_COUNT; scope++)
        if (strncmp(gx_config_keys[key].path, scope_prefixes[scope],
                    strlen(scope_prefixes[scope])) == 0)
            return (enum gx_config_scope)scope;
    return GX_SCOPE_TOP;
}

const char *gx_config_key_leaf(int key)
{
    return gx_config_keys[key].path + strlen(scope_prefixes[gx_config_key_scope(key)]);
}

/* Levenshtein's distance, rows of the table one after the other. */
static size_t distance(const char *a, const char *b)
{
    size_t row[WORD_MAX + 1], b_length = strnlen(b, WORD_MAX);

    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t replace = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            if (replace < row[j])
                row[j] = replace;
        }
    }
    return row[b_length];
}

/* The words that may stand in a mapping: its keys, and at the top the names of the others. */
static const char *scope_word(enum gx_config_scope scope, unsigned i)
{
    static const char *const mappings[] = {"port", "log", "sites"};

    for (int key = 0; key < GX_KEY_COUNT; key++)
        if (gx_config_key_scope(key) == scope && i-- == 0)
            return gx_config_key_leaf(key);
    return scope == GX_SCOPE_TOP && i < 3 ? mappings[i] : NULL;
}

static int fail_unknown(struct gx_config_file *file, unsigned line, enum gx_config_scope scope,
                        const char *word)
{
    const char *best = NULL, *candidate;
    size_t best_distance = SIZE_MAX;
    char list[256] = "";

    for (int key = 0; key < GX_KEY_COUNT; key++)
        if (gx_config_key_scope(key) != scope && strcmp(gx_config_key_leaf(key), word) == 0)
            return gx_config_fail(file, line, "unknown key `%s%s`; the key is `%s`",
                                  scope_prefixes[scope], word, gx_config_keys[key].path);
    for (unsigned i = 0; (candidate = scope_word(scope, i)) != NULL; i++) {
        size_t d = distance(word, candidate), at = strlen(list);
        snprintf(list + at, sizeof(list) - at, "%s%s", at ? ", " : "", candidate);
        if (d < best_distance) {
            best_distance = d;
            best = candidate;
        }
    }
    if (best_distance <= 2 || best_distance <= strlen(word) / 2)
        return gx_config_fail(file, line, "unknown key `%s%.64s`; did you mean `%s%s`?",
                              scope_prefixes[scope], word, scope_prefixes[scope], best);
    return gx_config_fail(file, line, "unknown key `%s%.64s`; the keys here are %s",
                          scope_prefixes[scope], word, list);
}

void gx_config_help(FILE *out)
{
    for (int i = 0; i < GX_KEY_COUNT; i++) {
        const struct gx_config_key_row *key = &gx_config_keys[i];
        fprintf(out, "  %-16s %s\n  %-16s   %s; %s%s\n", key->path, key->help, "", key->type,
                key->text ? "default: " : "required", key->text ? key->text : "");
    }
}

/* ---- first pass: shape and lines ---- */

static unsigned node_line(const yaml_node_t *node)
{
    return (unsigned)node->start_mark.line + 1;
}

/* The text of a scalar without NUL bytes, which could hide part of a value; else NULL. */
static const char *node_text(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE ||
        memchr(node->data.scalar.value, 0, node->data.scalar.length))
        return NULL;
    return (const char *)node->data.scalar.value;
}

static int check_key_text(struct gx_config_file *file, yaml_document_t *document,
                          const yaml_node_t *mapping, const yaml_node_pair_t *pair)
{
    const yaml_node_t *node = yaml_document_get_node(document, pair->key);
    const char *word = node_text(node);

    if (!word || strlen(word) > WORD_MAX)
        return gx_config_fail(file, node_line(node), "a key must be a word of at most %d bytes",
                              WORD_MAX);
    for (const yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < pair; p++) {
        const yaml_node_t *earlier = yaml_document_get_node(document, p->key);
        if (strcmp(node_text(earlier), word) == 0)
            return gx_config_fail(
                file, node_line(node),
                "`%s` stands here for the second time, first in line %u: keep one", word,
                node_line(earlier));
    }
    return 0;
}

static int check_scalar(struct gx_config_file *file, const yaml_node_t *node, int key,
                        unsigned *line)
{
    *line = node_line(node);
    if (node->type != YAML_SCALAR_NODE)
        return gx_config_fail(file, *line, "`%s` must be one %s, not a %s",
                              gx_config_keys[key].path, gx_config_keys[key].type,
                              node->type == YAML_MAPPING_NODE ? "mapping" : "list");
    if (!node_text(node))
        return gx_config_fail(file, *line, "`%s` holds a NUL byte", gx_config_keys[key].path);
    if (node->data.scalar.length == 0)
        return gx_config_fail(file, *line, "`%s` has no value (%s)", gx_config_keys[key].path,
                              gx_config_keys[key].type);
    return 0;
}

static int check_mapping(struct gx_config_file *file, yaml_document_t *document,
                         const yaml_node_t *node, enum gx_config_scope scope, unsigned site);

static int check_sites(struct gx_config_file *file, yaml_document_t *document,
                       const yaml_node_t *node)
{
    unsigned count = 0;

    file->sites_line = node_line(node);
    if (node->type != YAML_SEQUENCE_NODE)
        return gx_config_fail(
            file, file->sites_line,
            "`sites` must be a list, one line a site: - {name: a, address: \"10.0.0.1:7440\"}");
    for (const yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        const yaml_node_t *entry = yaml_document_get_node(document, *item);
        if (count == GX_SITES_MAX)
            return gx_config_fail(file, node_line(entry),
                                  "`sites` has more than %d entries: a run has at most %d sites",
                                  GX_SITES_MAX, GX_SITES_MAX);
        if (entry->type != YAML_MAPPING_NODE)
            return gx_config_fail(file, node_line(entry),
                                  "sites[%u] must look like {name: a, address: \"10.0.0.1:7440\"}",
                                  count);
        int rc = check_mapping(file, document, entry, GX_SCOPE_SITE, count);
        if (rc != 0)
            return rc;
        for (int i = 0; i < 2; i++)
            if (file->site_lines[count][i] == 0)
                return gx_config_fail(file, node_line(entry), "sites[%u] lacks `%s`", count,
                                      i == 0 ? "name" : "address");
        count++;
    }
    return count ? 0
                 : gx_config_fail(file, file->sites_line,
                                  "`sites` is empty: list every site, this one included");
}

static int check_section(struct gx_config_file *file, yaml_document_t *document,
                         const yaml_node_t *node, enum gx_config_scope scope)
{
    if (node->type != YAML_MAPPING_NODE)
        return gx_config_fail(file, node_line(node), "`%s` must be a mapping: %s",
                              scope == GX_SCOPE_PORT ? "port" : "log",
                              scope == GX_SCOPE_PORT ? "{udp: \"10.0.0.1:7440\"}"
                                                     : "{level: info}");
    return check_mapping(file, document, node, scope, 0);
}

static int check_value(struct gx_config_file *file, yaml_document_t *document,
                       const yaml_node_pair_t *pair, enum gx_config_scope scope, unsigned site)
{
    const yaml_node_t *name = yaml_document_get_node(document, pair->key);
    const yaml_node_t *value = yaml_document_get_node(document, pair->value);
    const char *word = node_text(name);

    if (scope == GX_SCOPE_TOP && strcmp(word, "port") == 0)
        return check_section(file, document, value, GX_SCOPE_PORT);
    if (scope == GX_SCOPE_TOP && strcmp(word, "log") == 0)
        return check_section(file, document, value, GX_SCOPE_LOG);
    if (scope == GX_SCOPE_TOP && strcmp(word, "sites") == 0)
        return check_sites(file, document, value);
    for (int key = 0; key < GX_KEY_COUNT; key++) {
        if (gx_config_key_scope(key) != scope || strcmp(gx_config_key_leaf(key), word) != 0)
            continue;
        unsigned *line = scope == GX_SCOPE_SITE
                             ? &file->site_lines[site][key == GX_KEY_sites_address]
                             : &file->lines[key];
        return check_scalar(file, value, key, line);
    }
    return fail_unknown(file, node_line(name), scope, word);
}

static int check_mapping(struct gx_config_file *file, yaml_document_t *document,
                         const yaml_node_t *node, enum gx_config_scope scope, unsigned site)
{
    for (const yaml_node_pair_t *p = node->data.mapping.pairs.start;
         p < node->data.mapping.pairs.top; p++) {
        int rc = check_key_text(file, document, node, p);
        if (rc == 0)
            rc = check_value(file, document, p, scope, site);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int check_required(struct gx_config_file *file)
{
    if (!file->lines[GX_KEY_port_udp] && !file->lines[GX_KEY_port_device])
        return gx_config_fail(file, 1,
                              "`port` is missing: {udp: \"10.0.0.1:7440\"}, or "
                              "{device: \"net_af_xdp0,iface=eth1\", address: 10.0.0.1/24}");
    for (int key = 0; key < GX_KEY_COUNT; key++)
        if (!gx_config_keys[key].text && gx_config_key_scope(key) != GX_SCOPE_SITE &&
            file->lines[key] == 0)
            return gx_config_fail(file, 1, "`%s` is missing: %s", gx_config_keys[key].path,
                                  gx_config_keys[key].help);
    return file->sites_line
               ? 0
               : gx_config_fail(file, 1, "`sites` is missing: list every site, this one included");
}

static int fail_parser(struct gx_config_file *file, const yaml_parser_t *parser)
{
    return gx_config_fail(file, (unsigned)parser->problem_mark.line + 1, "not YAML: %s%s%s",
                          parser->problem ? parser->problem : "unreadable",
                          parser->context ? ", " : "", parser->context ? parser->context : "");
}

/* A second document would be ignored in silence. */
static int check_end(struct gx_config_file *file, yaml_parser_t *parser)
{
    yaml_document_t document;
    int rc = 0;

    if (!yaml_parser_load(parser, &document))
        return fail_parser(file, parser);
    if (yaml_document_get_root_node(&document))
        rc = gx_config_fail(file, (unsigned)document.start_mark.line + 1,
                            "a second document starts here: only one is read");
    yaml_document_delete(&document);
    return rc;
}

int gx_config_check_shape(struct gx_config_file *file)
{
    yaml_parser_t parser;
    yaml_document_t document;
    int rc;

    if (!yaml_parser_initialize(&parser))
        return -ENOMEM;
    yaml_parser_set_input_string(&parser, (const unsigned char *)file->data, file->bytes);
    if (!yaml_parser_load(&parser, &document)) {
        rc = fail_parser(file, &parser);
        goto out;
    }
    const yaml_node_t *root = yaml_document_get_root_node(&document);
    if (!root)
        rc = gx_config_fail(file, 1, "the file is empty: docs/examples/gxd.yaml shows every key");
    else if (root->type != YAML_MAPPING_NODE)
        rc = gx_config_fail(file, node_line(root),
                            "the file must be a mapping of keys, such as `site: a`");
    else
        rc = check_mapping(file, &document, root, GX_SCOPE_TOP, 0);
    yaml_document_delete(&document);
    if (rc == 0 && root)
        rc = check_end(file, &parser);
    if (rc == 0)
        rc = check_required(file);
out:
    yaml_parser_delete(&parser);
    return rc;
}
