#include "trainlog.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char *const outcome_names[] = {
    [GX_OUTCOME_START] = "start",   [GX_OUTCOME_ALONE] = "alone",
    [GX_OUTCOME_MEMBER] = "member", [GX_OUTCOME_LEFT_OUT] = "left_out",
    [GX_OUTCOME_VOID] = "void",     [GX_OUTCOME_FETCHED] = "fetched",
};

const char *gx_outcome_name(enum gx_outcome outcome)
{
    return outcome_names[outcome];
}

int gx_trainlog_open(struct gx_trainlog *log, const char *json_path, FILE *table,
                     struct gx_failure *failure)
{
    *log = (struct gx_trainlog){.table = table, .rank_count = 1};
    if (!json_path)
        return 0;
    log->json = fopen(json_path, "ae");
    if (!log->json)
        return gx_fail(failure, -errno, "--json %s: %s", json_path, strerror(errno));
    return 0;
}

void gx_trainlog_close(struct gx_trainlog *log)
{
    if (log->json)
        fclose(log->json);
    log->json = NULL;
}

static void put_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '"' || *p == '\\')
            fprintf(out, "\\%c", *p);
        else if (*p < 0x20)
            fprintf(out, "\\u%04x", *p);
        else
            fputc(*p, out);
    }
    fputc('"', out);
}

static void put_number(FILE *out, const char *key, double value)
{
    if (isfinite(value))
        fprintf(out, ",\"%s\":%.9g", key, value);
    else
        fprintf(out, ",\"%s\":null", key);
}

static void put_count(FILE *out, const char *key, uint64_t value)
{
    fprintf(out, ",\"%s\":%" PRIu64, key, value);
}

void gx_trainlog_start(struct gx_trainlog *log, const struct gx_train_options *o,
                       const char *device, uint64_t param_count, const char *site,
                       uint64_t resumed_round)
{
    fprintf(log->table,
            "GPT-2: %u layers, width %u, %u heads, context %u, vocabulary %u: %" PRIu64
            " parameters; %s%s\n",
            o->model.layers, o->model.width, o->model.heads, o->model.context, o->model.vocab,
            param_count, site ? "site " : "alone", site ? site : "");
    if (log->rank_count > 1)
        fprintf(log->table, "%u ranks, each with %u sequences of a batch of %u\n", log->rank_count,
                o->batch / log->rank_count, o->batch);
    fflush(log->table);
    FILE *j = log->json;
    if (!j)
        return;
    fputs("{\"type\":\"start\",\"run\":", j);
    put_string(j, o->run ? o->run : "");
    fputs(",\"site\":", j);
    put_string(j, site ? site : "");
    put_count(j, "parameters", param_count);
    put_count(j, "layers", o->model.layers);
    put_count(j, "width", o->model.width);
    put_count(j, "heads", o->model.heads);
    put_count(j, "context", o->model.context);
    put_count(j, "vocab", o->model.vocab);
    put_count(j, "batch", o->batch);
    put_count(j, "inner_steps", o->inner_steps);
    put_count(j, "rounds", o->rounds);
    put_count(j, "seed", o->seed);
    fputs(",\"device\":", j);
    put_string(j, device);
    put_count(j, "threads", o->threads);
    put_count(j, "ranks", log->rank_count);
    put_number(j, "lr", (double)o->lr);
    put_count(j, "warmup_steps", o->warmup_steps);
    put_number(j, "outer_lr", (double)o->outer_lr);
    put_number(j, "outer_momentum", (double)o->outer_momentum);
    fputs(",\"format\":", j);
    put_string(j, gx_format_name(o->format));
    put_count(j, "wire_bytes", site ? gx_wire_bytes(o->format, param_count) : 0);
    put_count(j, "resumed_round", resumed_round);
    fputs("}\n", j);
    fflush(j);
}

static void write_json(FILE *j, const struct gx_record *r, uint32_t rank_count)
{
    fprintf(j, "{\"type\":\"round\",\"round\":%" PRIu64 ",\"outcome\":\"%s\"", r->round,
            gx_outcome_name(r->outcome));
    put_count(j, "steps", r->steps);
    put_number(j, "inner_loss", r->inner_loss);
    put_number(j, "val_loss", r->val_loss);
    put_count(j, "sent_bytes", r->sent_bytes);
    put_number(j, "exchange_seconds", r->exchange_seconds);
    put_number(j, "waited_seconds", r->waited_seconds);
    put_number(j, "held_seconds", r->held_seconds);
    put_number(j, "train_seconds", r->train_seconds);
    put_count(j, "tokens", r->tokens);
    put_number(j, "tokens_per_second",
               r->train_seconds > 0 ? (double)r->tokens / r->train_seconds : 0);
    put_count(j, "weight", r->weight);
    put_count(j, "divisor", r->divisor);
    put_count(j, "sent_bytes_total", r->sent_bytes_total);
    put_count(j, "redundant_bytes_total", r->redundant_bytes_total);
    put_count(j, "expected_shards_total", r->expected_shards_total);
    put_count(j, "lost_shards_total", r->lost_shards_total);
    fputs(",\"cohort\":[", j);
    for (uint32_t i = 0; i < r->cohort_count; i++) {
        if (i > 0)
            fputc(',', j);
        put_string(j, r->cohort[i]);
    }
    fputs("],\"digest\":", j);
    put_string(j, r->digest);
    for (uint32_t i = 0; r->rank_digests && i < rank_count; i++) {
        fputs(i == 0 ? ",\"rank_digests\":[" : ",", j);
        put_string(j, r->rank_digests[i]);
        fputs(i + 1 == rank_count ? "]" : "", j);
    }
    fputs("}\n", j);
    fflush(j);
}

static void write_row(struct gx_trainlog *log, const struct gx_record *r)
{
    FILE *out = log->table;
    if (!log->heading_written)
        fprintf(out, "%5s %9s  %10s %8s %9s %10s %8s %9s  %-12s  %s\n", "round", "outcome",
                "inner loss", "val loss", "sent MB", "exchange s", "waited s", "tokens/s", "digest",
                "cohort");
    log->heading_written = true;
    char inner[16] = "-";
    if (isfinite(r->inner_loss))
        snprintf(inner, sizeof(inner), "%.4f", r->inner_loss);
    fprintf(out, "%5" PRIu64 " %9s  %10s %8.4f %9.2f %10.2f %8.2f %9.0f  %.12s  ", r->round,
            gx_outcome_name(r->outcome), inner, r->val_loss, (double)r->sent_bytes / 1e6,
            r->exchange_seconds, r->waited_seconds,
            r->train_seconds > 0 ? (double)r->tokens / r->train_seconds : 0, r->digest);
    for (uint32_t i = 0; i < r->cohort_count; i++)
        fprintf(out, "%s%s", i > 0 ? "," : "", r->cohort[i]);
    fputs(r->cohort_count > 0 ? "\n" : "-\n", out);
    fflush(out);
}

void gx_trainlog_round(struct gx_trainlog *log, const struct gx_record *record)
{
    write_row(log, record);
    if (log->json)
        write_json(log->json, record, log->rank_count);
}

void gx_trainlog_end(struct gx_trainlog *log, uint64_t rounds, double seconds, uint64_t tokens)
{
    if (!log->json)
        return;
    fprintf(log->json, "{\"type\":\"end\",\"rounds\":%" PRIu64, rounds);
    put_number(log->json, "seconds", seconds);
    put_count(log->json, "tokens", tokens);
    fputs("}\n", log->json);
    fflush(log->json);
}
