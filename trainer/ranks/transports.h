/* The transports behind ranks.h. MPI's is in a plugin and is found by its name there. */
#ifndef GX_TRAINER_TRANSPORTS_H
#define GX_TRAINER_TRANSPORTS_H

#include "ranks.h"

#define GX_RANKS_MPI_FILE "gx-train-mpi.so"
#define GX_RANKS_MPI_SYMBOL "gx_ranks_mpi"

extern const struct gx_ranks_transport gx_ranks_tcp;
extern const struct gx_ranks_transport gx_ranks_mpi;

#endif
