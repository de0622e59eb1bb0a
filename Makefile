# gx. `make help` lists the targets. A part is built from whatever .c files its folder holds.
#
# B=DIR     where to build (default: build; build/asan with SAN=asan)
# CC=clang  another compiler: give it a B of its own, or everything is built anew
# O=-O3     optimisation and machine flags (default: -O2)
# V=1       show each command
# SAN=asan  AddressSanitizer and UndefinedBehaviorSanitizer

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

# MPI is optional: several ranks in a site (docs/training.md). Only the plugin is linked with it, by MPI's own compiler.
MPICC ?= mpicc
HAVE_MPI := $(if $(filter no,$(MPI)),,$(shell command -v $(MPICC)))

INCLUDES := -Idataplane -Idataplane/api -Itrainer -Itools -Icontrol -Itests -I.
# -ffp-contract=off: a fused multiply-add rounds once instead of twice, and sites must agree on every bit.
CFLAGS_ALL := -std=c11 -D_GNU_SOURCE $(O) -g -Wall -Wextra -Wshadow -Wconversion -Werror -ffp-contract=off \
              -pthread $(SAN_FLAGS) $(INCLUDES) $(DPDK_DEFINE) $(CFLAGS)
LDFLAGS_ALL := -pthread $(SAN_FLAGS) $(LDFLAGS)
LIBS := -Wl,--as-needed -luring -lisal -lIPSec_MB -lxxhash -lsodium -lcyaml -lyaml -ljansson $(DPDK_LIBS) -lm

# ---- sources: one list a part; a file with a main() is a program, the rest of its folder its library ----

CORE_SRC  := $(wildcard dataplane/core.c $(foreach d,wire session lane transfer exchange fec stat,dataplane/$(d)/*.c))
CORE_SRC  := $(filter-out dataplane/stat/file.c,$(CORE_SRC))
GX_SRC    := $(wildcard dataplane/api/*.c dataplane/arena/*.c dataplane/format/*.c)
GXD_SRC   := $(filter-out dataplane/core.c,$(wildcard dataplane/*.c dataplane/port/*.c dataplane/port/net/*.c dataplane/stat/file.c))
# Files that include DPDK's headers: these alone get its flags, and without DPDK they are left out.
DPDK_SRC  := $(wildcard dataplane/port/eal.c dataplane/port/device.c dataplane/port/dpdk*.c tools/*/dpdk*.c \
    tools/gx-perf/local*.c tests/unit/port/test_dpdk*.c tests/bench/dpdk*.c)
GXD_SRC   := $(if $(HAVE_DPDK),$(GXD_SRC),$(filter-out $(DPDK_SRC),$(GXD_SRC)))
CTL_SRC   := $(wildcard control/*.c control/*/*.c)
TRAIN_SRC := $(filter-out trainer/ranks/mpi.c,$(wildcard trainer/*.c trainer/model/*.c trainer/cpu/*.c trainer/ranks/*.c))
SIM_SRC   := $(wildcard tests/sim/*.c)
UNIT_SRC  := $(wildcard tests/unit/*/test_*.c)
UNIT_SRC  := $(if $(HAVE_DPDK),$(UNIT_SRC),$(filter-out $(DPDK_SRC),$(UNIT_SRC)))
HELP_SRC  := $(filter-out $(UNIT_SRC) $(DPDK_SRC),$(wildcard tests/unit/*.c tests/unit/*/*.c))
INTEG_SRC := $(wildcard tests/integration/*.c)
BENCH_SRC := $(wildcard tests/bench/*.c)
BENCH_SRC := $(if $(HAVE_DPDK),$(BENCH_SRC),$(filter-out $(DPDK_SRC),$(BENCH_SRC)))
TOOL_DIRS := $(filter-out demo,$(sort $(patsubst tools/%/,%,$(dir $(wildcard tools/*/*.c)))))
tool_src  = $(filter-out $(if $(HAVE_DPDK),,$(DPDK_SRC)),$(wildcard tools/$(1)/*.c))
TOOL_SRC  := $(foreach d,$(TOOL_DIRS),$(call tool_src,$(d)))

SRC   := $(CORE_SRC) $(GX_SRC) $(GXD_SRC) $(CTL_SRC) $(TRAIN_SRC) $(TOOL_SRC) $(SIM_SRC)
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
$(call maybe,gx-train,$(TRAIN_SRC),$(TRAIN_LIB) $(BASE_LIBS))
$(foreach d,$(TOOL_DIRS),$(call maybe,$(call tool_name,$(d)),$(call tool_src,$(d)),\
    $(call lib,$(call tool_name,$(d)),$(call tool_src,$(d))) $(BASE_LIBS)))
# tests/sim: main.c or sim.c is gx-sim, any other file with a main() is a program of its own name.
sim_name = $(patsubst main,gx-sim,$(patsubst sim,gx-sim,$(basename $(notdir $(1)))))
$(foreach f,$(filter $(MAINS),$(SIM_SRC)),$(call maybe,$(call sim_name,$(f)),$(f),\
    $(SIM_LIB) $(BASE_LIBS) $(filter %/libgx-wan.a,$(TOOL_LIBS))))
SIM_BIN := $(foreach f,$(filter $(MAINS),$(SIM_SRC)),$(B)/bin/$(call sim_name,$(f)))

BLAS := -lopenblas -fopenmp
$(B)/bin/gx-train: EXTRA_LIBS := $(BLAS)
$(patsubst %.c,$(B)/obj/%.o,$(TRAIN_SRC)): PART_FLAGS := -fopenmp
$(call obj,$(GX_SRC)): PART_FLAGS := -fPIC
$(patsubst %.c,$(B)/obj/%.o,$(DPDK_SRC)): PART_FLAGS := $(DPDK_CFLAGS)

# ---- tests: one program a file; each may use every library ----

define test
TESTS += $(2)
$(2): $(B)/obj/$(1:.c=.o) $(HELP_LIB) $(ALL_LIBS)
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(LDFLAGS_ALL) $$< -Wl,--start-group $(HELP_LIB) $(ALL_LIBS) -Wl,--end-group -lcmocka $$(LIBS) $$(BLAS) -o $$@
endef
$(foreach f,$(UNIT_SRC) $(INTEG_SRC) $(BENCH_SRC),$(eval $(call test,$(f),$(B)/$(f:.c=))))
$(patsubst %.c,$(B)/obj/%.o,$(filter tests/unit/trainer/%,$(UNIT_SRC) $(HELP_SRC))): PART_FLAGS := -fopenmp
UNIT_BIN  := $(patsubst %.c,$(B)/%,$(UNIT_SRC))
INTEG_BIN := $(patsubst %.c,$(B)/%,$(INTEG_SRC))
BENCH_BIN := $(patsubst %.c,$(B)/%,$(BENCH_SRC))

# tests/bytes is also built by other compilers and with other flags, so it has few parts.
BYTES_OBJ := $(B)/obj/tests/bytes/bytes.o $(call obj,$(GX_SRC) $(filter dataplane/fec/%,$(CORE_SRC)))
$(B)/tests/bytes/bytes: $(BYTES_OBJ)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) $^ -Wl,--as-needed -lisal -lm -o $@
bytes: $(B)/tests/bytes/bytes

# ---- rules ----

.PHONY: all build tests bytes unit-build deps deps-lint demo test unit sim integration mutants bench lint format \
        dist install uninstall clean help parts FORCE

all: build parts ## build everything into build/ (the default)

build: $(BIN) $(GX_SO) $(MPI_SO)

tests: $(UNIT_BIN) $(INTEG_BIN) $(BENCH_BIN)

# The unit tests of some folders only: `make unit-build UNIT="fec format"`.
unit-build: $(if $(UNIT),$(filter $(foreach u,$(UNIT),$(B)/tests/unit/$(u)/%),$(UNIT_BIN)),$(UNIT_BIN))

# Written only when its content changes, so that other flags or another set of files rebuild what they must.
$(B)/.flags: FORCE
	@mkdir -p $(B)
	@echo '$(subst ','\'',$(CC) $(CFLAGS_ALL))' | cmp -s - $@ || echo '$(subst ','\'',$(CC) $(CFLAGS_ALL))' > $@
$(B)/.files: FORCE
	@mkdir -p $(B)
	@echo '$(SRC) $(HELP_SRC)' | cmp -s - $@ || echo '$(SRC) $(HELP_SRC)' > $@
$(B)/.mpi: FORCE
	@mkdir -p $(B)
	@readlink -f '$(HAVE_MPI)' | cmp -s - $@ || readlink -f '$(HAVE_MPI)' > $@

$(B)/obj/%.o: %.c $(B)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS_ALL) $(PART_FLAGS) -MMD -MP -c $< -o $@

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

-include $(patsubst %.c,$(B)/obj/%.d,$(SRC) $(UNIT_SRC) $(HELP_SRC) $(INTEG_SRC) $(BENCH_SRC) tests/bytes/bytes.c)

# ---- what is there ----

CUDA_HOME ?= /usr/local/cuda
found = $(if $(1),✓,✗)
has_cpu = $(shell grep -qw $(1) /proc/cpuinfo 2>/dev/null && echo yes)

parts: | build
	@$(foreach p,$(PROGRAMS),echo '$(call found,$(filter %/$(p),$(BIN))) $(p)';)
	@echo '$(call found,$(HAVE_DPDK)) DPDK $(if $(HAVE_DPDK),$(shell pkg-config --modversion libdpdk),(libdpdk-dev; without it ports are kernel UDP only))'
	@echo '$(call found,$(MPI_SO)) MPI $(if $(MPI_SO),($(HAVE_MPI)),(mpich, libmpich-dev; without it ranks meet over TCP only))'
	@echo '$(call found,$(wildcard /usr/include/intel-ipsec-mb.h)) ipsec-mb (libipsec-mb-dev, required: encrypted links)'
	@echo '$(call found,$(call has_cpu,avx2)) AVX2 on this machine (else plain C, the same bytes)'
	@echo '$(call found,$(call has_cpu,avx512bw)) AVX-512 on this machine'
	@echo '$(call found,$(call has_cpu,gfni)) GFNI on this machine'
	@echo '$(call found,$(call has_cpu,vaes)) VAES on this machine (AES-GCM at twice the speed and more)'
	@echo '$(call found,$(wildcard $(CUDA_HOME)/bin/nvcc)) CUDA toolkit (not used yet)'
	@echo '$(call found,$(shell command -v clang)) clang (make lint)'
	@echo '$(call found,$(shell command -v clang-format)) clang-format (make lint, make format)'

# ---- running ----

deps: ## install with apt what is missing (silent when all is there)
	@tests/deps.sh base

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

integration: deps ## real processes on loopback
	@B=$(B) $(PYTHON) tests/run.py integration

mutants: deps ## apply each patch of tests/mutants/ and show that the simulator catches it
	@tests/mutants/run.sh

bench: deps ## measure; asserts nothing
	@$(MAKE) --no-print-directory -s -j$$(nproc) B=$(B) build tests
	@B=$(B) $(PYTHON) tests/run.py bench

lint: deps-lint ## format, warnings of gcc and clang, shell and Python syntax, the core's purity
	@tests/lint/run.sh

format: ## rewrite the sources with clang-format
	@git ls-files -co --exclude-standard '*.c' '*.h' | xargs -r clang-format -i

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
	install -m 644 README.md CHANGELOG.md LICENSE $(wildcard docs/*.md) $(DESTDIR)$(PREFIX)/share/doc/gx
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
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
