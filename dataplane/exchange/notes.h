/* gx_notes: lines for the log, kept until the caller fetches them; the oldest give way. */
#ifndef GX_EXCHANGE_NOTES_H
#define GX_EXCHANGE_NOTES_H

#include <stdbool.h>
#include <stdint.h>

#define GX_NOTE_BYTES 200
#define GX_NOTES_KEPT 128

struct gx_notes {
    uint64_t written, read;
    char lines[GX_NOTES_KEPT][GX_NOTE_BYTES];
};

__attribute__((format(printf, 2, 3))) void gx_note(struct gx_notes *notes, const char *format, ...);
bool gx_note_pop(struct gx_notes *notes, char out[GX_NOTE_BYTES]);

#endif
