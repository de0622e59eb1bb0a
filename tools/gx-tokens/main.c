/* gx-tokens: makes token files for gx-train from text. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gx-tokens/tokens.h"

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE };

#define PARTS_MAX 4096

struct options {
    const char *input;
    const char *prefix;
    const char *train_path, *val_path;
    double val_fraction;
    uint32_t part, parts;
    bool json, help;
};

static void help(FILE *out)
{
    fputs("usage: gx-tokens [option …] FILE|-\n\n"
          "Makes token files for gx-train from text: PREFIX-train.bin and PREFIX-val.bin.\n\n"
          "  --vocab bytes         one token a byte, vocabulary 256 (the only one so far)\n"
          "  --val-fraction X      the text's last part, for validation [0.05]\n"
          "  --part I/N            train on the I-th of N equal parts of the rest [1/1];\n"
          "                        the validation text is the same for all parts\n"
          "  --out PREFIX          of the two files' names [FILE without its extension]\n"
          "  --train FILE          instead of PREFIX-train.bin\n"
          "  --val FILE            instead of PREFIX-val.bin\n"
          "  --json                what was made as a JSON object on stdout\n"
          "  --help                this text\n\n"
          "Exit status: 0 done, 1 failed, 2 usage.\n",
          out);
}

static int usage_error(const char *option, const char *value, const char *right)
{
    fprintf(stderr, "gx-tokens: %s%s%s: %s\n", option, value ? " " : "", value ? value : "", right);
    return -EINVAL;
}

static int parse_part(struct options *o, const char *text)
{
    char *end;
    unsigned long part = strtoul(text, &end, 10), parts = 0;
    if (end != text && *end == '/') {
        const char *second = end + 1;
        parts = strtoul(second, &end, 10);
        if (end == second || *end != '\0' || *second < '0' || *second > '9')
            parts = 0;
    }
    if (*text < '0' || *text > '9' || part < 1 || part > parts || parts > PARTS_MAX)
        return usage_error("--part", text, "must be I/N, 1 <= I <= N <= 4096");
    o->part = (uint32_t)part;
    o->parts = (uint32_t)parts;
    return 0;
}

static int parse_fraction(struct options *o, const char *text)
{
    char *end;
    o->val_fraction = strtod(text, &end);
    if (end == text || *end != '\0' || !(o->val_fraction > 0 && o->val_fraction < 1))
        return usage_error("--val-fraction", text, "must be above 0 and below 1");
    return 0;
}

static int parse_value(struct options *o, const char *name, const char *value)
{
    if (strcmp(name, "--vocab") == 0)
        return strcmp(value, "bytes") == 0 ? 0 : usage_error(name, value, "must be bytes");
    if (strcmp(name, "--val-fraction") == 0)
        return parse_fraction(o, value);
    if (strcmp(name, "--part") == 0)
        return parse_part(o, value);
    if (*value == '\0')
        return usage_error(name, value, "needs a name");
    if (strcmp(name, "--out") == 0)
        o->prefix = value;
    else if (strcmp(name, "--train") == 0)
        o->train_path = value;
    else if (strcmp(name, "--val") == 0)
        o->val_path = value;
    else
        return usage_error(name, NULL, "unknown option (see --help)");
    return 0;
}

static int parse(struct options *o, int argc, char **argv)
{
    *o = (struct options){.val_fraction = 0.05, .part = 1, .parts = 1};
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
            o->help = true;
            return 0;
        }
        if (strcmp(arg, "--json") == 0) {
            o->json = true;
        } else if (arg[0] == '-' && arg[1] != '\0') {
            if (i + 1 == argc)
                return usage_error(arg, NULL, "unknown option, or its value is missing");
            int rc = parse_value(o, arg, argv[++i]);
            if (rc != 0)
                return rc;
        } else if (o->input) {
            return usage_error(arg, NULL, "one input only");
        } else {
            o->input = arg;
        }
    }
    if (!o->input)
        return usage_error("FILE", NULL, "is missing; - reads standard input");
    if (strcmp(o->input, "-") == 0 && !o->prefix && !(o->train_path && o->val_path))
        return usage_error("-", NULL, "needs --out PREFIX, or --train FILE and --val FILE");
    return 0;
}

/* `given`, or PREFIX and the ending; PREFIX is by default the input without its extension. The caller frees it. */
static char *output_path(const struct options *o, const char *given, const char *ending)
{
    char *path = NULL;
    if (given)
        return strdup(given);
    const char *prefix = o->prefix ? o->prefix : o->input;
    size_t length = strlen(prefix);
    const char *dot = strrchr(prefix, '.'), *slash = strrchr(prefix, '/');
    if (!o->prefix && dot && dot != prefix && (!slash || dot > slash + 1))
        length = (size_t)(dot - prefix);
    return asprintf(&path, "%.*s%s", (int)length, prefix, ending) < 0 ? NULL : path;
}

static void show_progress(size_t bytes)
{
    bool terminal = isatty(STDERR_FILENO);
    fprintf(stderr, "%sgx-tokens: read %.0f MB%s", terminal ? "\r" : "", (double)bytes / 1e6,
            terminal ? "" : "\n");
    fflush(stderr);
}

static int read_input(struct gx_text *text, const char *path)
{
    FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "rbe");
    int rc = in ? gx_text_read(text, in, show_progress) : -errno;
    if (in && text->count >= (size_t)1 << 24 && isatty(STDERR_FILENO))
        fputc('\n', stderr);
    if (in && in != stdin)
        fclose(in);
    if (rc != 0)
        fprintf(stderr, "gx-tokens: %s: %s\n", path, strerror(-rc));
    return rc;
}

static int write_output(const char *path, const uint8_t *bytes, size_t count)
{
    int rc = gx_tokens_write(path, bytes, count);
    if (rc == -EFBIG)
        fprintf(stderr,
                "gx-tokens: %s: %zu tokens, a token file holds 2147483647 at most (use --part)\n",
                path, count);
    else if (rc != 0)
        fprintf(stderr, "gx-tokens: %s: %s\n", path, strerror(-rc));
    return rc;
}

static void put_string(const char *text)
{
    putchar('"');
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p < 0x20)
            printf("\\u%04x", *p);
        else
            printf("%s%c", *p == '"' || *p == '\\' ? "\\" : "", *p);
    }
    putchar('"');
}

static void tell(const struct options *o, const struct gx_split *s, const char *train_path,
                 const char *val_path)
{
    if (!o->json) {
        printf("%s: %zu tokens\n%s: %zu tokens\n", train_path, s->train_count, val_path,
               s->val_count);
        return;
    }
    printf("{\"vocab\":256,\"part\":%u,\"parts\":%u,\"train\":", o->part, o->parts);
    put_string(train_path);
    printf(",\"train_tokens\":%zu,\"val\":", s->train_count);
    put_string(val_path);
    printf(",\"val_tokens\":%zu}\n", s->val_count);
}

static int run(const struct options *o)
{
    struct gx_text text = {0};
    struct gx_split split;
    char *train_path = output_path(o, o->train_path, "-train.bin");
    char *val_path = output_path(o, o->val_path, "-val.bin");
    int rc = train_path && val_path ? read_input(&text, o->input) : -ENOMEM;
    if (rc != 0)
        goto out;
    rc = gx_split_compute(&split, text.count, o->val_fraction, o->part, o->parts);
    if (rc != 0) {
        fprintf(stderr,
                "gx-tokens: %s: %zu bytes are too few for --part %u/%u and --val-fraction %g\n",
                o->input, text.count, o->part, o->parts, o->val_fraction);
        goto out;
    }
    rc = write_output(train_path, text.bytes + split.train_first, split.train_count);
    if (rc == 0)
        rc = write_output(val_path, text.bytes + split.val_first, split.val_count);
    if (rc == 0)
        tell(o, &split, train_path, val_path);
out:
    free(text.bytes);
    free(train_path);
    free(val_path);
    return rc;
}

int main(int argc, char **argv)
{
    struct options options;
    if (parse(&options, argc, argv) != 0)
        return EXIT_USAGE;
    if (options.help) {
        help(stdout);
        return EXIT_OK;
    }
    return run(&options) == 0 ? EXIT_OK : EXIT_FAILED;
}
