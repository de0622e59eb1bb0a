/* gx_recv: the incoming transfers of one link, and what was answered to those that are over or never began. */
#ifndef GX_TRANSFER_RECV_H
#define GX_TRANSFER_RECV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transfer/sink.h"

#define GX_INCOMING_MAX 8
#define GX_ANSWERED_MAX 256 /* by transfer id: a peer's ids are consecutive */
#define GX_ANSWER_COPIES 3

struct gx_incoming {
    bool used;
    uint32_t transfer;
    struct gx_key key;
    uint8_t part_idx;
    struct gx_part *part;
    uint32_t resume;   /* first block of the next feedback; 0: the first incomplete one */
    uint64_t shard_ns; /* the last one */
};

struct gx_answered {
    uint32_t transfer; /* 0: unused */
    uint8_t answer;
    uint8_t reason;
    uint8_t copies; /* still to be sent */
};

struct gx_recv {
    struct gx_incoming incoming[GX_INCOMING_MAX];
    struct gx_answered answered[GX_ANSWERED_MAX];
    uint32_t answers_due; /* entries with copies > 0 */
    uint32_t turn;        /* which incoming one comes first in the next feedback */
};

void gx_recv_init(struct gx_recv *recv);
struct gx_incoming *gx_recv_find(struct gx_recv *recv, uint32_t transfer);
/* The open transfer of this key and part, under whatever id. */
struct gx_incoming *gx_recv_find_key(struct gx_recv *recv, const struct gx_open *open);
/* NULL: all slots are used. */
struct gx_incoming *gx_recv_add(struct gx_recv *recv, const struct gx_open *open,
                                struct gx_part *part);
/* Remembers an answer and has it sent some times. */
void gx_recv_answer(struct gx_recv *recv, uint32_t transfer, uint8_t answer, uint8_t reason);
/* The answer that is remembered; GX_ANSWER_OPEN: none. */
uint8_t gx_recv_answered(const struct gx_recv *recv, uint32_t transfer);
/* The transfer is open again, or to be asked about anew. */
void gx_recv_forget(struct gx_recv *recv, uint32_t transfer);
/* A shard of a transfer that is over: the answer goes out once more. False: none is remembered. */
bool gx_recv_remind(struct gx_recv *recv, uint32_t transfer);

/* Writes feedback entries into `room` bytes; returns the bytes used, *count entries. Answers are used up. */
size_t gx_recv_entries(struct gx_recv *recv, uint8_t *out, size_t room, uint16_t *count);

#endif
