#include "exchange/notes.h"

#include <stdarg.h>
#include <stdio.h>

static void note(struct gx_notes *notes, bool warn, const char *format, va_list args)
{
    struct gx_note_line *line = &notes->lines[notes->written++ % GX_NOTES_KEPT];
    line->warn = warn;
    vsnprintf(line->text, sizeof(line->text), format, args);
    if (notes->written - notes->read > GX_NOTES_KEPT)
        notes->read = notes->written - GX_NOTES_KEPT;
}

void gx_note(struct gx_notes *notes, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    note(notes, false, format, args);
    va_end(args);
}

void gx_note_warn(struct gx_notes *notes, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    note(notes, true, format, args);
    va_end(args);
}

bool gx_note_pop(struct gx_notes *notes, struct gx_note_line *line)
{
    if (notes->read == notes->written)
        return false;
    *line = notes->lines[notes->read++ % GX_NOTES_KEPT];
    return true;
}
