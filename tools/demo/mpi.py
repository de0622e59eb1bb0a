"""Starting the ranks of a site by mpirun, on this machine alone."""

import os
import shutil

# As root too, with more ranks than cores, over loopback and shared memory: in MPICH's words, then in Open MPI's.
ENVIRONMENT = {
    "HYDRA_IFACE": "lo", "UCX_TLS": "self,posix,sysv",
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_btl": "self,vader",
    "OMPI_MCA_oob_tcp_if_include": "lo", "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_hwloc_base_binding_policy": "none"}


def missing(build):
    """What keeps the gx-train in `build` from being started by mpirun; None: nothing."""
    if not os.path.exists(os.path.join(build, "lib", "gx-train-mpi.so")):
        return "gx-train was built without MPI"
    return None if shutil.which("mpirun") else "there is no mpirun"


def launcher(ranks):
    return ["mpirun", "-n", str(ranks)]
