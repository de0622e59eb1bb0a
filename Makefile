# gx. `make help` lists the targets. A part is built from whatever .c files its folder holds.
#
# B=DIR     where to build (default: build; build/asan with SAN=asan)
# CC=clang  another compiler: give it a B of its own, or everything is built anew
# O=-O3     optimisation and machine flags (default: -O2)
# V=1       show each command
# SAN=asan  AddressSanitizer and UndefinedBehaviorSanitizer
# CUDA_HOME=DIR  this CUDA toolkit; CUDA=no none (docs/gpu.md)
# CUDA_ARCHS=all GPU code for every architecture (default: "80 90", and PTX for later ones)

Q   := $(if $(V),,@)
quiet := $(findstring s,$(firstword -$(MAKEFLAGS)))
say = $(if $(V)$(quiet),,@printf '  %-4s %s\n' $(1) $(2))

SAN ?=
ifeq ($(SAN),)
B ?= build
else
B ?= build/asan
SAN_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
endif

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin CXX),default)
CXX := $(subst gcc,g++,$(subst clang,clang++,$(CC)))
endif
ifeq ($(origin AR),default)
AR := ar
endif
O ?= -O2
PREFIX ?= /usr/local
DESTDIR ?=
PYTHON ?= python3

SOVERSION := 0

# DPDK is optional. Its headers are not ours to warn about, hence -isystem.
HAVE_DPDK := $(shell pkg-config --exists libdpdk 2>/dev/null && echo yes)
ifeq ($(DPDK),no)
HAVE_DPDK :=
endif
ifneq ($(HAVE_DPDK),)
# rte_dev_dma_map() and rte_thread_register() are "experimental" in 22.11 and stable since.
DPDK_CFLAGS := -DALLOW_EXPERIMENTAL_API $(patsubst -I%,-isystem%,$(shell pkg-config --cflags libdpdk))
DPDK_LIBS   := $(shell pkg-config --libs libdpdk) -lrte_net_ring
DPDK_DEFINE := -DGX_DPDK
endif

# CUDA is optional too. The toolkit: $CUDA_HOME, nvcc on PATH, the usual folder, or what `make deps CUDA=1` fetched.
CUDA_VENV := build/cuda-venv
ifeq ($(filter no,$(CUDA))$(SAN),)
NVCC := $(firstword $(if $(CUDA_HOME),$(wildcard $(CUDA_HOME)/bin/nvcc)) $(shell command -v nvcc) \
    $(wildcard /usr/local/cuda/bin/nvcc $(CUDA_VENV)/lib/python3*/site-packages/nvidia/cu*/bin/nvcc))
endif
ifneq ($(NVCC),)
# The toolkit's folder as nvcc itself says it: what is on PATH may be a script that starts it.
CUDA_ROOT    := $(realpath $(shell $(NVCC) --dryrun -E -x cu /dev/null 2>&1 | sed -n 's/^\#$$ TOP=//p'))
CUDA_ROOT    := $(or $(CUDA_ROOT),$(patsubst %/bin/nvcc,%,$(realpath $(NVCC))))
CUDA_LISTED  := $(shell $(NVCC) --list-gpu-arch | sed -n 's/^compute_//p' | awk '$$1 >= 80' | sort -n)
CUDA_ARCHS   ?= 80 90
CUDA_BUILT   := $(if $(filter all,$(CUDA_ARCHS)),$(CUDA_LISTED),$(filter $(CUDA_ARCHS),$(CUDA_LISTED)))
# Machine code of each architecture; of the last one PTX as well, which later GPUs translate when the program starts.
CUDA_GENCODE := $(foreach a,$(CUDA_BUILT),-gencode arch=compute_$(a),code=sm_$(a)) \
    -gencode arch=compute_$(lastword $(CUDA_BUILT)),code=compute_$(lastword $(CUDA_BUILT))
# The host compiler's own warnings: the same sources are compiled by it, with all of them, for the emulation.
NVCC_FLAGS   := -std=c++17 -O3 -ccbin $(CXX) $(if $(findstring release 13.0,$(shell $(NVCC) --version)),--Werror all-warnings) \
    $(CUDA_GENCODE)
CUDA_LIBS    := $(patsubst %,-L$(CUDA_ROOT)/%,lib64 lib targets/x86_64-linux/lib) -lcudart_static -ldl -lrt -lstdc++
endif

# MPI is optional: several ranks in a site (docs/training.md). Only the plugin is linked with it, by MPI's own compiler.
MPICC ?= mpicc
HAVE_MPI := $(if $(filter no,$(MPI)),,$(shell command -v $(MPICC)))

INCLUDES := -Idataplane -Idataplane/api -Itrainer -Itools -Icontrol -Itests -I.
# Warnings are errors with the compilers that the code is kept clean under (and nvcc 13.0); a newer one's do not stop a build.
CC_KIND := $(shell echo __clang_major__ __GNUC__ | $(CC) -E -P -x c - 2>/dev/null)
WERROR  := $(if $(findstring /$(CC_KIND)/,/__clang_major__ 12/14 4/),-Werror)
# -ffp-contract=off: a fused multiply-add rounds once instead of twice, and sites must agree on every bit.
CFLAGS_ALL := -std=c11 -D_GNU_SOURCE $(O) -g -Wall -Wextra -Wshadow -Wconversion $(WERROR) -ffp-contract=off \
              -pthread $(SAN_FLAGS) $(INCLUDES) $(DPDK_DEFINE) $(CFLAGS)
CXXFLAGS_ALL := -std=c++17 -D_GNU_SOURCE $(O) -g -Wall -Wextra -Wshadow -Wconversion $(WERROR) -ffp-contract=off \
                -pthread $(SAN_FLAGS) $(INCLUDES) $(CXXFLAGS)
LDFLAGS_ALL := -pthread $(SAN_FLAGS) $(LDFLAGS)
LIBS := -Wl,--as-needed -luring -lisal -lIPSec_MB -lxxhash -lsodium -lcyaml -lyaml -ljansson $(DPDK_LIBS) -lm

# ---- sources: one list a part; a file with a main() is a program, the rest of its folder its library ----

CORE_SRC  := $(wildcard dataplane/core.c $(foreach d,wire session lane transfer exchange fec stat,dataplane/$(d)/*.c))
CORE_SRC  := $(filter-out dataplane/stat/file.c,$(CORE_SRC))
GX_SRC    := $(wildcard dataplane/api/*.c dataplane/arena/*.c dataplane/format/*.c)
GXD_SRC   := $(filter-out dataplane/core.c,$(wildcard dataplane/*.c dataplane/port/*.c dataplane/port/net/*.c dataplane/stat/file.c))
# Files that include DPDK's headers: these alone get its flags, and without DPDK they are left out.
DPDK_SRC  := $(wildcard dataplane/port/eal.c dataplane/port/device*.c dataplane/port/dpdk*.c tools/*/dpdk*.c \
    tools/gx-perf/local*.c tests/unit/port/test_dpdk*.c tests/bench/dpdk*.c)
GXD_SRC   := $(if $(HAVE_DPDK),$(GXD_SRC),$(filter-out $(DPDK_SRC),$(GXD_SRC)))
CTL_SRC   := $(wildcard control/*.c control/*/*.c)
TRAIN_SRC := $(filter-out trainer/ranks/mpi.c,$(wildcard trainer/*.c trainer/model/*.c trainer/cpu/*.c trainer/ranks/*.c))
# The trainer on a GPU. cuda/*.c and the kernels make libgxcuda.a; with the twins of the runtime and of the matrix library
# in tests/simt/, and the kernels compiled for the host, they make libgxsimt.a, which tests/unit/cuda/ is linked with.
CUDA_CU   := $(wildcard trainer/cuda/*.cu)
CUDA_TWIN := $(patsubst %,trainer/cuda/%.c,dev matmul attention_cudnn sum cublaslt_check cudnn_check)
CUDA_SRC  := $(wildcard trainer/cuda/*.c)
SIMT_SRC  := $(filter-out $(CUDA_TWIN),$(CUDA_SRC)) $(wildcard tests/simt/*.c)
SIMT_CXX  := $(wildcard tests/simt/*.cpp) $(filter-out tests/unit/cuda/test_%,$(wildcard tests/unit/cuda/*.cpp))
SIMT_CU   := $(CUDA_CU) $(wildcard tests/unit/cuda/*.cu)
# Results that must be the same bits as the CPU's: no fused multiply-add.
CUDA_EXACT := $(patsubst %,$(B)/obj/cuda/trainer/cuda/%.o,encode outer)
SIM_SRC   := $(wildcard tests/sim/*.c)
UNIT_SRC  := $(wildcard tests/unit/*/test_*.c)
UNIT_CXX  := $(wildcard tests/unit/cuda/test_*.cpp)
UNIT_SRC  := $(if $(HAVE_DPDK),$(UNIT_SRC),$(filter-out $(DPDK_SRC),$(UNIT_SRC)))
HELP_SRC  := $(filter-out $(UNIT_SRC) $(DPDK_SRC),$(wildcard tests/unit/*.c tests/unit/*/*.c))
INTEG_SRC := $(wildcard tests/integration/*.c)
BENCH_SRC := $(wildcard tests/bench/*.c)
BENCH_SRC := $(if $(HAVE_DPDK),$(BENCH_SRC),$(filter-out $(DPDK_SRC),$(BENCH_SRC)))
TOOL_DIRS := $(filter-out demo,$(sort $(patsubst tools/%/,%,$(dir $(wildcard tools/*/*.c)))))
tool_src  = $(filter-out $(if $(HAVE_DPDK),,$(DPDK_SRC)),$(wildcard tools/$(1)/*.c))
TOOL_SRC  := $(foreach d,$(TOOL_DIRS),$(call tool_src,$(d)))

SRC   := $(CORE_SRC) $(GX_SRC) $(GXD_SRC) $(CTL_SRC) $(TRAIN_SRC) $(TOOL_SRC) $(SIM_SRC) $(CUDA_SRC)
MAINS := $(if $(SRC),$(shell grep -l '^int main\b' $(SRC)))

obj     = $(patsubst %.c,$(B)/obj/%.o,$(filter-out $(MAINS),$(1)))
mainobj = $(patsubst %.c,$(B)/obj/%.o,$(filter $(MAINS),$(1)))
lib     = $(if $(call obj,$(2)),$(B)/lib/lib$(1).a)

# tools/wan makes gx-wan, tools/gx-perf makes gx-perf.
tool_name = gx-$(patsubst gx-%,%,$(1))

CORE_LIB  := $(call lib,gxcore,$(CORE_SRC))
GX_LIB    := $(call lib,gx,$(GX_SRC))
GXD_LIB   := $(call lib,gxd,$(GXD_SRC))
CTL_LIB   := $(call lib,gxctl,$(CTL_SRC))
TRAIN_LIB := $(call lib,gxtrain,$(TRAIN_SRC))
CUDA_LIB  := $(if $(NVCC),$(call lib,gxcuda,$(CUDA_SRC)))
SIMT_LIB  := $(B)/simt/libgxsimt.a
SIM_LIB   := $(call lib,gxsim,$(SIM_SRC))
TOOL_LIBS := $(foreach d,$(TOOL_DIRS),$(call lib,$(call tool_name,$(d)),$(call tool_src,$(d))))
HELP_LIB  := $(if $(HELP_SRC),$(B)/lib/libgxunit.a)
GX_SO     := $(if $(GX_LIB),$(B)/lib/libgx.so)
MPI_SO    := $(if $(HAVE_MPI),$(B)/lib/gx-train-mpi.so)
BASE_LIBS := $(GXD_LIB) $(CORE_LIB) $(GX_LIB)
ALL_LIBS  := $(BASE_LIBS) $(CTL_LIB) $(TRAIN_LIB) $(TOOL_LIBS) $(SIM_LIB)

PROGRAMS := gxd gxctl gx-train gx-perf gx-wan gx-tokens
BIN      :=
TESTS    :=

.DEFAULT_GOAL := all
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:

# ---- programs ----

# $(call program,NAME,MAIN OBJECTS,ARCHIVES): its own archives come first.
define program
BIN += $(B)/bin/$(1)
$(B)/bin/$(1): $(2) $(3)
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(LDFLAGS_ALL) $(2) -Wl,--start-group $(3) -Wl,--end-group $$(LIBS) $$(EXTRA_LIBS) -o $$@
endef
maybe = $(if $(call mainobj,$(2)),$(eval $(call program,$(1),$(call mainobj,$(2)),$(3))))

$(call maybe,gxd,$(GXD_SRC),$(BASE_LIBS))
$(call maybe,gxctl,$(CTL_SRC),$(CTL_LIB) $(BASE_LIBS))
$(call maybe,gx-train,$(TRAIN_SRC),$(CUDA_LIB) $(TRAIN_LIB) $(BASE_LIBS))
$(foreach d,$(TOOL_DIRS),$(call maybe,$(call tool_name,$(d)),$(call tool_src,$(d)),\
    $(call lib,$(call tool_name,$(d)),$(call tool_src,$(d))) $(BASE_LIBS)))
# tests/sim: main.c or sim.c is gx-sim, any other file with a main() is a program of its own name.
sim_name = $(patsubst main,gx-sim,$(patsubst sim,gx-sim,$(basename $(notdir $(1)))))
$(foreach f,$(filter $(MAINS),$(SIM_SRC)),$(call maybe,$(call sim_name,$(f)),$(f),\
    $(SIM_LIB) $(BASE_LIBS) $(filter %/libgx-wan.a,$(TOOL_LIBS))))
SIM_BIN := $(foreach f,$(filter $(MAINS),$(SIM_SRC)),$(B)/bin/$(call sim_name,$(f)))

BLAS := -lopenblas -fopenmp
$(B)/bin/gx-train: EXTRA_LIBS := $(BLAS) $(CUDA_LIBS)
$(patsubst %.c,$(B)/obj/%.o,$(TRAIN_SRC)): PART_FLAGS := -fopenmp $(if $(CUDA_LIB),-DGX_CUDA)
$(B)/obj/trainer/main.o: $(B)/.cuda
$(patsubst %.c,$(B)/obj/%.o,$(CUDA_TWIN)): PART_FLAGS := $(patsubst %,-isystem $(CUDA_ROOT)/%,include targets/x86_64-linux/include)
$(call obj,$(GX_SRC)): PART_FLAGS := -fPIC
$(patsubst %.c,$(B)/obj/%.o,$(DPDK_SRC)): PART_FLAGS := $(DPDK_CFLAGS)

# ---- tests: one program a file; each may use every library ----

define test
TESTS += $(2)
$(2): $(B)/obj/$(basename $(1)).o $(HELP_LIB) $(ALL_LIBS) $(3)
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(LDFLAGS_ALL) $$< -Wl,--start-group $(HELP_LIB) $(ALL_LIBS) $(3) -Wl,--end-group -lcmocka $$(LIBS) $$(BLAS) \
	    $(if $(3),-lstdc++) -o $$@
endef
$(foreach f,$(UNIT_SRC) $(UNIT_CXX) $(INTEG_SRC) $(BENCH_SRC),\
    $(eval $(call test,$(f),$(B)/$(basename $(f)),$(if $(filter tests/unit/cuda/%,$(f)),$(SIMT_LIB)))))
$(patsubst %.c,$(B)/obj/%.o,$(filter tests/unit/trainer/% tests/unit/cuda/%,$(UNIT_SRC) $(HELP_SRC))): PART_FLAGS := -fopenmp
# gx-train on the emulation, for integration tests.
SIMT_TRAIN := $(if $(filter trainer/main.c,$(MAINS)),$(B)/simt/gx-train)
$(B)/obj/simt/main.o: trainer/main.c $(B)/.flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -DGX_CUDA -MMD -MP -c $< -o $@
$(SIMT_TRAIN): $(B)/obj/simt/main.o $(SIMT_LIB) $(TRAIN_LIB) $(BASE_LIBS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) $< -Wl,--start-group $(SIMT_LIB) $(TRAIN_LIB) $(BASE_LIBS) -Wl,--end-group $(LIBS) $(BLAS) -lstdc++ -o $@

# In place of a driver, so that cuDNN plans where there is none.
$(B)/lib/nodriver.so: tests/simt/nodriver/nodriver.c $(B)/.flags
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -fPIC -shared -Wl,-soname,libcuda.so.1 $< -o $@
$(B)/tests/unit/cuda/test_attention_graph: | $(B)/lib/nodriver.so

UNIT_BIN  := $(addprefix $(B)/,$(basename $(UNIT_SRC) $(UNIT_CXX)))
INTEG_BIN := $(patsubst %.c,$(B)/%,$(INTEG_SRC))
BENCH_BIN := $(patsubst %.c,$(B)/%,$(BENCH_SRC))

# make test-gpu: programs that need a compiler, nvcc and, to run, a GPU: no BLAS, no cmocka, no DPDK. The same kernel tests as
# in the unit tests, but those of the emulation itself; tests/gpu/ stands for what is missing.
GPU_TESTS := $(filter-out $(patsubst %,tests/unit/cuda/test_%.c,simt device outer_side attention_graph) \
    %_faults.c,$(wildcard tests/unit/cuda/test_*.c))
GPU_BENCH := $(patsubst %,tests/gpu/%.c,train kernels step)
GPU_PARTS := $(filter-out $(GPU_BENCH),$(wildcard tests/gpu/*.c tests/gpu/bare/*.c)) \
    $(filter-out tests/unit/cuda/test_% %/fault.c,$(wildcard tests/unit/cuda/*.c)) \
    $(patsubst %,trainer/%.c,failure outer philox ranks ranks/tcp ranks/nccl) $(wildcard trainer/model/*.c) \
    $(filter-out %/gemm.c,$(wildcard trainer/cpu/*.c)) $(GX_SRC)
GPU_OBJ   := $(patsubst %.c,$(B)/gpu/obj/%.o,$(GPU_PARTS)) $(if $(CUDA_LIB),$(CUDA_LIB))
GPU_BIN   := $(patsubst %.c,$(B)/gpu/%,$(notdir $(GPU_TESTS) $(GPU_BENCH)))
GPU_OPENMP := $(if $(findstring clang,$(CC)),,-fopenmp)

$(B)/gpu/obj/%.o: %.c $(B)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -Itests/gpu/bare $(CFLAGS_ALL) $(GPU_OPENMP) -MMD -MP -c $< -o $@
define gpu_program
$(B)/gpu/$(basename $(notdir $(1))): $(B)/gpu/obj/$(1:.c=.o) $(GPU_OBJ)
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(LDFLAGS_ALL) $(GPU_OPENMP) $$^ $$(CUDA_LIBS) -lm -o $$@
endef
$(foreach f,$(GPU_TESTS) $(GPU_BENCH),$(eval $(call gpu_program,$(f))))
gpu-build: $(GPU_BIN)

# tests/bytes is also built by other compilers and with other flags, so it has few parts.
BYTES_OBJ := $(B)/obj/tests/bytes/bytes.o $(call obj,$(GX_SRC) $(filter dataplane/fec/%,$(CORE_SRC)))
$(B)/tests/bytes/bytes: $(BYTES_OBJ)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) $^ -Wl,--as-needed -lisal -lm -o $@
bytes: $(B)/tests/bytes/bytes

# ---- rules ----

.PHONY: gpu-build test-gpu test-gpu-site gpu-site-bundle gpu-resources
.PHONY: all build tests bytes unit-build deps deps-lint demo test unit sim integration mutants bench bench-parts lint format \
        dist install uninstall clean help parts FORCE

all: build parts ## build everything into build/ (the default)

build: $(BIN) $(GX_SO) $(MPI_SO)

tests: $(UNIT_BIN) $(INTEG_BIN) $(BENCH_BIN) $(SIMT_TRAIN)

# The unit tests of some folders only: `make unit-build UNIT="fec format"`.
unit-build: $(if $(UNIT),$(filter $(foreach u,$(UNIT),$(B)/tests/unit/$(u)/%),$(UNIT_BIN)),$(UNIT_BIN))

# Written only when its content changes, so that other flags or another set of files rebuild what they must.
$(B)/.flags: FORCE
	@mkdir -p $(B)
	@echo '$(subst ','\'',$(CC) $(CFLAGS_ALL))' | cmp -s - $@ || echo '$(subst ','\'',$(CC) $(CFLAGS_ALL))' > $@
FILES = $(SRC) $(HELP_SRC) $(CUDA_CU) $(SIMT_SRC) $(SIMT_CXX) $(SIMT_CU)
$(B)/.files: FORCE
	@mkdir -p $(B)
	@echo '$(FILES)' | cmp -s - $@ || echo '$(FILES)' > $@
$(B)/.cuda: FORCE
	@mkdir -p $(B)
	@echo '$(CUDA_LIB)' | cmp -s - $@ || echo '$(CUDA_LIB)' > $@
$(B)/.mpi: FORCE
	@mkdir -p $(B)
	@readlink -f '$(HAVE_MPI)' | cmp -s - $@ || readlink -f '$(HAVE_MPI)' > $@

$(B)/obj/%.o: %.c $(B)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS_ALL) $(PART_FLAGS) -MMD -MP -c $< -o $@

$(B)/obj/%.o: %.cpp $(B)/.flags
	@mkdir -p $(@D)
	$(call say,CXX,$<)
	$(Q)$(CXX) $(CXXFLAGS_ALL) -DGX_SIMT -MMD -MP -c $< -o $@

# A kernel for the host, and for GPUs.
$(B)/obj/simt/%.o: %.cu $(B)/.flags
	@mkdir -p $(@D)
	$(call say,CXX,$<)
	$(Q)$(CXX) $(CXXFLAGS_ALL) -DGX_SIMT -MMD -MP -x c++ -c $< -o $@
$(B)/.nvcc: FORCE
	@mkdir -p $(B)
	@echo '$(NVCC) $(NVCC_FLAGS)' | cmp -s - $@ || echo '$(NVCC) $(NVCC_FLAGS)' > $@
$(B)/obj/cuda/%.o: %.cu $(B)/.nvcc
	@mkdir -p $(@D)
	$(call say,NVCC,$<)
	$(Q)$(NVCC) $(NVCC_FLAGS) $(PART_FLAGS) $(INCLUDES) -MMD -MP -MF $(@:.o=.d) -c $< -o $@
$(CUDA_EXACT): PART_FLAGS := -fmad=false

define archive
$(1): $(2) $(B)/.files
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(call say,AR,$$@)
	$$(Q)$$(AR) rcs $$@ $(2)
endef
archive_of = $(if $(call lib,$(1),$(2)),$(eval $(call archive,$(call lib,$(1),$(2)),$(call obj,$(2)))))
$(call archive_of,gxcore,$(CORE_SRC))
$(call archive_of,gx,$(GX_SRC))
$(call archive_of,gxd,$(GXD_SRC))
$(call archive_of,gxctl,$(CTL_SRC))
$(call archive_of,gxtrain,$(TRAIN_SRC))
$(call archive_of,gxsim,$(SIM_SRC))
$(call archive_of,gxunit,$(HELP_SRC))
$(foreach d,$(TOOL_DIRS),$(call archive_of,$(call tool_name,$(d)),$(call tool_src,$(d))))

CUDA_OBJ := $(call obj,$(CUDA_SRC)) $(patsubst %.cu,$(B)/obj/cuda/%.o,$(CUDA_CU))
SIMT_OBJ := $(call obj,$(SIMT_SRC)) $(patsubst %.cpp,$(B)/obj/%.o,$(SIMT_CXX)) $(patsubst %.cu,$(B)/obj/simt/%.o,$(SIMT_CU))
$(if $(CUDA_LIB),$(eval $(call archive,$(CUDA_LIB),$(CUDA_OBJ))))
$(eval $(call archive,$(SIMT_LIB),$(SIMT_OBJ)))

# libgx.so shows what gx.h declares and nothing else.
$(B)/lib/libgx.map: dataplane/api/gx.h
	@mkdir -p $(@D)
	@{ echo '{ global:'; grep -oE '\bgx_[a-z_]+\(' $< | sort -u | sed 's/($$/;/'; echo 'local: *; };'; } > $@
$(B)/lib/libgx.so: $(call obj,$(GX_SRC)) $(B)/lib/libgx.map $(B)/.files
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -shared -Wl,-soname,libgx.so.$(SOVERSION) -Wl,--version-script,$(B)/lib/libgx.map \
	    $(call obj,$(GX_SRC)) -lm -o $@
	@ln -sf libgx.so $@.$(SOVERSION)

# gx-train loads this when mpirun started it. gx_fail() comes along, because a program shows a plugin nothing of its own.
$(B)/lib/gx-train-mpi.so: trainer/ranks/mpi.c trainer/failure.c $(wildcard trainer/ranks/*.h) trainer/ranks.h trainer/failure.h \
    $(B)/.flags $(B)/.mpi
	@mkdir -p $(@D)
	$(call say,MPI,$@)
	$(Q)MPICH_CC='$(CC)' OMPI_CC='$(CC)' $(MPICC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -fPIC -shared $(filter %.c,$^) -o $@

-include $(patsubst %.c,$(B)/obj/%.d,$(SRC) $(UNIT_SRC) $(HELP_SRC) $(INTEG_SRC) $(BENCH_SRC) tests/bytes/bytes.c) \
    $(patsubst %.c,$(B)/gpu/obj/%.d,$(GPU_PARTS) $(GPU_TESTS) $(GPU_BENCH)) $(B)/obj/simt/main.d $(UNIT_CXX:%.cpp=$(B)/obj/%.d) $(CUDA_OBJ:.o=.d) $(SIMT_OBJ:.o=.d)

# ---- what is there ----

found = $(if $(1),✓,✗)
has_cpu = $(shell grep -qw $(1) /proc/cpuinfo 2>/dev/null && echo yes)

CUDA_SAYS = $(if $(CUDA_LIB),(nvcc: $(NVCC); GPUs: $(addprefix sm_,$(CUDA_BUILT)) and later),($(if $(filter no,$(CUDA)),CUDA=no,no \
    nvcc; `make deps CUDA=1` fetches one); gx-train is for CPUs only))
parts: | build
	@$(foreach p,$(PROGRAMS),echo '$(call found,$(filter %/$(p),$(BIN))) $(p)';)
	@echo '$(call found,$(HAVE_DPDK)) DPDK $(if $(HAVE_DPDK),$(shell pkg-config --modversion libdpdk),(libdpdk-dev; without it ports are kernel UDP only))'
	@echo '$(call found,$(MPI_SO)) MPI $(if $(MPI_SO),($(HAVE_MPI)),(mpich, libmpich-dev; without it ranks meet over TCP only))'
	@echo '$(call found,$(wildcard /usr/include/intel-ipsec-mb.h)) ipsec-mb (libipsec-mb-dev, required: encrypted links)'
	@echo '$(call found,$(call has_cpu,avx2)) AVX2 on this machine (else plain C, the same bytes)'
	@echo '$(call found,$(call has_cpu,avx512bw)) AVX-512 on this machine'
	@echo '$(call found,$(call has_cpu,gfni)) GFNI on this machine'
	@echo '$(call found,$(call has_cpu,vaes)) VAES on this machine (AES-GCM at twice the speed and more)'
	@echo '$(call found,$(CUDA_LIB)) CUDA $(CUDA_SAYS)'
	@echo '$(call found,$(shell command -v clang)) clang (make lint)'
	@echo '$(call found,$(shell command -v clang-format)) clang-format (make lint, make format)'

# ---- running ----

deps: ## install with apt what is missing (silent when all is there); CUDA=1: nvcc too, into build/cuda-venv
	@tests/deps.sh base
	$(if $(filter-out no,$(CUDA)),@tests/cuda.sh $(CUDA_VENV))

deps-lint:
	@tests/deps.sh base lint

demo: deps ## train one model at several sites: SITES=2 RANKS=1 LOSS=0.01 DELAY=25ms RATE=200Mbit ROUNDS=10 PORT=af_xdp|udp
	@$(MAKE) --no-print-directory -s -j$$(nproc) B=$(B) build
	@SITES='$(SITES)' RANKS='$(RANKS)' LOSS='$(LOSS)' DELAY='$(DELAY)' RATE='$(RATE)' ROUNDS='$(ROUNDS)' PORT='$(PORT)' \
	    $(PYTHON) tools/demo/demo.py --build $(B)

test: deps ## everything: unit tests (twice, once with sanitizers), simulator, integration tests
	@B=$(B) $(PYTHON) tests/run.py all

unit: deps ## the unit tests; UNIT="fec lane" for some folders only
	@B=$(B) $(PYTHON) tests/run.py unit $(UNIT)

sim: deps ## the simulator alone; SEEDS=1-1000
	@B=$(B) $(PYTHON) tests/run.py sim $(if $(SEEDS),--seeds $(SEEDS))

soak: deps ## the simulators with 10,000 seeds and more, hours; SEEDS=1-10000
	@B=$(B) $(PYTHON) tests/run.py soak $(if $(SEEDS),--seeds $(SEEDS))

integration: deps ## real processes; PORT=udp|af_xdp|memif for one kind of port only
	@B=$(B) GX_TEST_PORT='$(PORT)' $(PYTHON) tests/run.py integration

test-gpu: ## on a GPU: kernel tests, compute-sanitizer, training against the CPU, timings; needs a compiler and nvcc only
	$(if $(NVCC),,@echo 'skip test-gpu: no nvcc (docs/gpu.md); `make deps CUDA=1` fetches one')
	$(if $(NVCC),@started=$$(date +%s); $(MAKE) --no-print-directory -s -j$$(nproc) B=$(B) gpu-build && \
	    tests/gpu/run.sh $(B)/gpu $$started)

test-gpu-site: $(if $(GPU_SITE),,deps) ## on a GPU: two sites on loopback, one of them on the GPU; GPU_SITE=DIR: programs of gpu-site-bundle
	$(if $(GPU_SITE),,@$(MAKE) --no-print-directory -s -j$$(nproc) B=$(B) build)
	@LD_LIBRARY_PATH=$(if $(GPU_SITE),$(abspath $(GPU_SITE))/lib:)$$(tests/gpu/libraries.sh) GX_GPU=1 \
	    GX_BIN=$(if $(GPU_SITE),$(GPU_SITE),$(B))/bin $(PYTHON) tests/integration/test_gpu.py a_cpu_site_and_a_gpu_site || [ $$? -eq 77 ]

gpu-site-bundle: build ## into GPU_SITE=DIR: what test-gpu-site needs on a machine that lacks tests/deps.txt
	@tests/gpu/bundle.sh $(B)/bin $(or $(GPU_SITE),$(error GPU_SITE=DIR is wanted))

gpu-resources: ## registers, shared memory and spills of each kernel, for each of CUDA_ARCHS
	@CUDA_ARCHS='$(CUDA_BUILT)' tests/gpu/resources.sh $(NVCC) $(INCLUDES) -ccbin $(CXX)

mutants: deps ## apply each patch of tests/mutants/ and show that the simulator catches it
	@tests/mutants/run.sh

# What is compared with is optional: without it the page says so.
bench: deps ## gx beside TCP, SRT, UDT, uftp and the bound: docs/benchmarks.md; QUICK=1, FULL=1, CELLS="256KB versus sim"
	@tests/deps.sh bench || echo 'make bench: goes on without them'
	@$(MAKE) --no-print-directory -s -j$$(nproc) B=$(B) build
	@GX_BIN='$(abspath $(B))/bin' QUICK='$(QUICK)' FULL='$(FULL)' CELLS='$(CELLS)' $(PYTHON) tests/bench/matrix.py

bench-parts: deps ## measure the parts: ports beside testpmd, copies, idle and wake; asserts nothing
	@$(MAKE) --no-print-directory -s -j$$(nproc) B=$(B) build tests
	@B=$(B) $(PYTHON) tests/run.py bench

lint: deps-lint ## format, warnings of gcc and clang, shell and Python syntax, the core's purity
	@tests/lint/run.sh

format: ## rewrite the sources with clang-format
	@git ls-files -co --exclude-standard '*.c' '*.h' '*.cpp' '*.cu' | xargs -r clang-format -i

# Man pages, completion and units: made from the programs' own tables, so that a new option is in all of them.
MANDIR ?= $(PREFIX)/share/man
UNITDIR ?= $(PREFIX)/lib/systemd/system
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
MAN8 := $(filter gxd gxctl,$(notdir $(BIN)))
MAN1 := $(filter gx-train gx-perf gx-wan gx-tokens,$(notdir $(BIN)))
UNITS := gxd@.service gx-host.service
what_gx-train  := train a model at this site, together with others
what_gx-perf   := measure the exchange between sites
what_gx-wan    := a network that loses, delays and reorders packets
what_gx-tokens := make token files for gx-train from text

DIST := $(patsubst %,$(B)/dist/%.8,$(MAN8)) $(patsubst %,$(B)/dist/%.1,$(MAN1)) $(B)/dist/gxctl.bash \
        $(patsubst %,$(B)/dist/%,$(UNITS))
dist: $(DIST) ## man pages, completion and systemd units, into build/dist

$(B)/dist/%.8: $(B)/bin/gxctl
	@mkdir -p $(@D)
	$(Q)$(B)/bin/gxctl help man $* > $@
$(B)/dist/%.1: $(B)/bin/% control/dist/man.sh
	@mkdir -p $(@D)
	$(Q)$(B)/bin/$* --help | control/dist/man.sh $* '$(what_$*)' > $@
$(B)/dist/gxctl.bash: $(B)/bin/gxctl
	@mkdir -p $(@D)
	$(Q)$(B)/bin/gxctl help completion > $@
$(B)/dist/%.service: control/dist/%.service FORCE
	@mkdir -p $(@D)
	$(Q)sed 's#@BINDIR@#$(PREFIX)/bin#' $< > $@

install: build dist ## into $(DESTDIR)$(PREFIX)
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin lib include share/doc/gx/examples lib/sysusers.d) \
	    $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man8 $(DESTDIR)$(UNITDIR) $(DESTDIR)$(COMPLETIONDIR)
	install -m 755 $(wildcard $(addprefix $(B)/bin/,$(PROGRAMS))) $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(B)/lib/libgx.a $(DESTDIR)$(PREFIX)/lib
	install -m 755 $(B)/lib/libgx.so $(DESTDIR)$(PREFIX)/lib/libgx.so.$(SOVERSION)
	$(if $(MPI_SO),install -m 755 $(MPI_SO) $(DESTDIR)$(PREFIX)/lib)
	ln -sf libgx.so.$(SOVERSION) $(DESTDIR)$(PREFIX)/lib/libgx.so
	install -m 644 dataplane/api/gx.h dataplane/api/errors.def $(DESTDIR)$(PREFIX)/include
	install -m 644 README.md CHANGELOG.md LICENSE $(wildcard docs/*.md docs/*.svg) $(DESTDIR)$(PREFIX)/share/doc/gx
	$(if $(wildcard docs/examples/*),install -m 644 $(wildcard docs/examples/*) $(DESTDIR)$(PREFIX)/share/doc/gx/examples)
	install -m 644 $(filter %.1,$(DIST)) $(DESTDIR)$(MANDIR)/man1
	install -m 644 $(filter %.8,$(DIST)) $(DESTDIR)$(MANDIR)/man8
	install -m 644 $(addprefix $(B)/dist/,$(UNITS)) $(DESTDIR)$(UNITDIR)
	install -m 644 $(B)/dist/gxctl.bash $(DESTDIR)$(COMPLETIONDIR)/gxctl
	install -m 644 control/dist/gx.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/gx.conf

uninstall: ## remove what install put there
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,$(PROGRAMS))
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/lib/,libgx.a libgx.so libgx.so.$(SOVERSION) gx-train-mpi.so)
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/include/,gx.h errors.def)
	rm -f $(addprefix $(DESTDIR)$(MANDIR)/man1/,$(addsuffix .1,gx-train gx-perf gx-wan gx-tokens))
	rm -f $(addprefix $(DESTDIR)$(MANDIR)/man8/,gxd.8 gxctl.8)
	rm -f $(addprefix $(DESTDIR)$(UNITDIR)/,$(UNITS)) $(DESTDIR)$(COMPLETIONDIR)/gxctl
	rm -f $(DESTDIR)$(PREFIX)/lib/sysusers.d/gx.conf
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/gx

clean: ## remove build/
	$(Q)rm -rf $(B)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
