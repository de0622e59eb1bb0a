/* gx_session: one generation of keys with a peer: two indices, two keys, numbers of one's own and a window against
 * replay of the peer's. gx_handshake: how sessions with one peer come and go.
 *
 * Rules, on a HELLO with key Kp from a known peer (docs/protocol.md):
 *   1. a session with peer key Kp exists: the same handshake once more; when it wants a reply, ours is repeated.
 *   2. its cookie names our pending key: the session is established, the pending key is used up.
 *   3. its cookie is zero: answered with the pending key. Any other cookie is stale: dropped.
 * So a replayed hello costs at most an answer. Answers are limited to 20 a second.
 *
 * Slots     receive index = random bits, peer, slot: found without a search, unique among ours.
 * Security  with a psk hellos carry its tag, and a session has a key for each direction; without, a CRC32C. A hello whose
 *           tag does not fit has no effect but, repeated, a word for people (`refused`); nothing ends by it.
 * Rekey     a new handshake on the same rules, before a key has sealed too much or is too old.
 */
#ifndef GX_SESSION_SESSION_H
#define GX_SESSION_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "gx.h"
#include "session/aead.h"
#include "session/psk.h"
#include "session/random.h"
#include "session/replay.h"
#include "wire/address.h"
#include "wire/header.h"
#include "wire/hello.h"

#define GX_SESSION_SLOTS 4
#define GX_SESSION_NONE UINT32_MAX
#define GX_DIFFERENCE_BYTES 160

#define GX_HELLO_RETRY_MIN_NS 250000000ull
#define GX_HELLO_RETRY_MAX_NS 1000000000ull
#define GX_SILENCE_NS 1000000000ull     /* after it a new handshake is tried */
#define GX_SESSION_OLD_NS 1000000000ull /* so long an old session still receives after a rekey */
#define GX_HELLO_ANSWER_NS 50000000ull  /* least time between two answers */
#define GX_HELLO_STRANGE 3 /* so many in a row whose tag does not fit, before it is said */

/* A key seals at most this: AES-GCM then leaves an attacker an advantage below 2^-57 (RFC 9001, B.1.1: 2^28 packets of
 * 2^7 blocks). And it is used no longer than this, so that one that leaks gives away no more than an hour. */
#define GX_REKEY_BLOCKS (1ull << 35)
#define GX_REKEY_NS 3600000000000ull
#define GX_NUMBER_MAX ((1ull << 48) - 1) /* none is sent above it */

struct gx_session {
    bool live;
    bool confirmed; /* the peer is known to have established it, too */
    uint32_t local_idx;
    uint32_t ended_idx; /* local_idx of the session that had this slot before */
    uint32_t peer_idx;
    uint8_t local_key[GX_HELLO_KEY_BYTES];
    uint8_t peer_key[GX_HELLO_KEY_BYTES];
    uint64_t expires_ns;   /* UINT64_MAX: the current one */
    uint64_t next_number;  /* of the next packet we send */
    uint64_t rekey_number; /* from this one on a new handshake is tried */
    uint64_t rekey_ns;     /* or from this time on */
    bool sealed;           /* by the AEAD; false: a CRC32C */
    struct gx_aead tx, rx;
    uint8_t local_secret[GX_HELLO_KEY_BYTES]; /* of local_key; zeros once the keys are derived */
    uint64_t generation;                      /* grows with every session of this peer */
    struct gx_replay replay;
};

/* What a site says of itself in every hello. */
struct gx_local {
    uint32_t self;
    uint32_t site_count;
    char (*names)[GX_NAME_MAX];
    uint8_t list_digest[GX_HELLO_DIGEST_BYTES];
    uint64_t incarnation;
    uint32_t mtu;
    uint32_t workers;
    uint32_t lane; /* of this session layer: a hello of another one is not for it */
    bool secure;   /* `psk` holds */
    struct gx_psk psk;
    struct gx_random random;
};

struct gx_handshake {
    uint32_t peer;
    struct gx_session sessions[GX_SESSION_SLOTS];
    uint32_t current;     /* slot; GX_SESSION_NONE: the link is down */
    uint64_t incarnation; /* the peer's, of the current session; 0: never had one */
    struct gx_addr dial;  /* from the config */
    struct gx_addr addr;  /* of the hello that established the current session */
    uint64_t generation;
    uint64_t heard_ns; /* last authenticated packet or establishment; 0: never */
    enum gx_reason refused;
    char difference[GX_DIFFERENCE_BYTES]; /* what differs, for people, when refused */
    uint32_t peer_mtu;
    uint32_t peer_workers;

    uint32_t pending;      /* slot of the pending key; GX_SESSION_NONE: not drawn */
    uint64_t pending_ns;   /* when it was first sent; 0: not yet */
    uint64_t hello_rtt_ns; /* from then to its answer, at most GX_SILENCE_NS */
    uint64_t attempt;
    uint64_t rekey_next_ns; /* least time of the next hello of a rekey */
    uint32_t strange;       /* hellos in a row whose tag does not fit */
    bool redial;            /* the next one goes to `dial`, not to `addr` */
    uint64_t retry_ns;      /* next hello of our own accord */
    uint64_t retry_wait_ns; /* and the wait after it */

    bool answer_due;
    uint32_t answer_slot;
    struct gx_addr answer_to;
    uint8_t answer_cookie[GX_HELLO_COOKIE_BYTES];
    bool answer_wants;
    uint64_t answer_next_ns;
};

enum gx_hello_effect {
    GX_HELLO_NOTHING, /* stale or a repetition */
    GX_HELLO_ANSWERED,
    GX_HELLO_ESTABLISHED, /* `current` is new */
    GX_HELLO_REFUSED,     /* `refused` has changed; a session there was has ended */
    GX_HELLO_DOUBTED, /* `refused` has changed, but anybody may have sent it: nothing has ended */
    GX_HELLO_FORGED,  /* its tag does not fit */
};

void gx_handshake_init(struct gx_handshake *handshake, uint32_t peer, const struct gx_addr *dial,
                       uint64_t now);
/* No session is live any more. */
void gx_handshake_end(struct gx_handshake *handshake);
/* From now on it dials of its own accord, or only answers. */
void gx_handshake_dial(struct gx_handshake *handshake, bool dials, uint64_t now);

/* Could this packet be what its hello says it is? The checksum of mode none; a tag of mode psk can only be looked at with
 * the peer's name (gx_handshake_rx() does). */
bool gx_hello_plausible(const struct gx_hello *hello, const uint8_t *packet, size_t bytes);

/* A plausible hello from this peer (by its name), parsed and as it came. */
enum gx_hello_effect gx_handshake_rx(struct gx_handshake *handshake, struct gx_local *local,
                                     const struct gx_hello *hello, const uint8_t *packet,
                                     size_t bytes, const struct gx_addr *from, uint64_t now);

/* The next hello that is due: fills header (sealed), payload (GX_HELLO_MAX_BYTES) and address; returns payload bytes,
 * 0 when none is due. */
size_t gx_handshake_tx(struct gx_handshake *handshake, struct gx_local *local, uint64_t now,
                       uint8_t header[GX_HEADER_BYTES], uint8_t *payload, struct gx_addr *to);
uint64_t gx_handshake_wake(const struct gx_handshake *handshake);

/* Notes that an authenticated packet came in this session. */
void gx_handshake_heard(struct gx_handshake *handshake, struct gx_session *session, uint64_t now);

/* The session of a receive index, NULL when it has ended or never was. */
struct gx_session *gx_handshake_find(struct gx_handshake *handshake, uint32_t index, uint64_t now);
/* Was this the receive index of a session that has ended? */
bool gx_handshake_was(const struct gx_handshake *handshake, uint32_t index);
struct gx_session *gx_handshake_current(struct gx_handshake *handshake);

/* The peer that a receive index belongs to, if it is one of ours at all. */
static inline uint32_t gx_session_peer(uint32_t index)
{
    return index / GX_SESSION_SLOTS % GX_SITES_MAX;
}

/* Header and tag of the session's next packet (number and session index are filled in). Returns what is to be sent
 * after it: `payload` itself, or, where the session encrypts, the ciphertext in `room`, which may be the payload's own
 * place. */
const uint8_t *gx_session_seal(struct gx_session *session, struct gx_header *header,
                               uint8_t out[GX_HEADER_BYTES], const uint8_t *payload, uint8_t *room);
/* The payload if the tag fits, in the packet or decrypted in `room`; else NULL. */
const uint8_t *gx_session_open(const struct gx_session *session, uint64_t number,
                               const uint8_t *packet, size_t bytes, uint8_t *room);

#endif
