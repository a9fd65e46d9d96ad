# kvcs: one daemon, one library, one test binary. `make help` lists the targets.
MODE ?= release
WEB ?= 1
PREFIX ?= /usr/local
DESTDIR ?=
B := build/$(MODE)

CXX ?= g++
ifeq ($(origin CXX),default)
CXX := g++
endif
CCACHE := $(shell command -v ccache 2>/dev/null)
MOLD := $(shell command -v mold 2>/dev/null)
# The tag, or packaging/VERSION and the commit; a source archive has packaging/VERSION alone.
VERSION := $(shell git describe --tags --dirty 2>/dev/null || \
  { v=$$(cat packaging/VERSION); c=$$(git describe --always --dirty 2>/dev/null) && echo "$$v+g$$c" || echo "$$v"; })
COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

PKGS := sqlite3 libsodium yaml-cpp libcurl openssl libzstd zlib libbrotlidec libsystemd cairo freetype2 simdjson libutf8proc
HTTPLIB_CFLAGS := $(shell pkg-config --cflags cpp-httplib 2>/dev/null)
CPPFLAGS += -Isrc -I$(B)/gen -D_GNU_SOURCE $(HTTPLIB_CFLAGS) $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
# Designated initialisers leave members at their defaults on purpose.
WARN := -Wall -Wextra -Werror -Wshadow=local -Wnon-virtual-dtor -Wno-missing-field-initializers
CXXFLAGS += -std=c++20 -pthread $(WARN) -fstack-protector-strong -fPIE -ffp-contract=off
LDFLAGS += -pthread -pie -Wl,-z,relro,-z,now
LDLIBS += -lrocksdb -lboost_context -lzxcvbn $(shell pkg-config --libs $(PKGS) 2>/dev/null)
# The sanitizers bring an allocator of their own.
ifneq ($(filter release debug,$(MODE)),)
# Whole and in the program: what a shared one does to find a thread's memory costs as much as half
# an allocation.
ALLOCATOR := -Wl,--push-state,--whole-archive -l:libjemalloc_pic.a -Wl,--pop-state
# The program alone has these within: each start would bind a shared one anew, and load what it
# stands on, which is a third of the time of a short command.
PROGRAM_LDLIBS := -l:librocksdb.a -lsnappy -llz4 -lbz2 -l:libcairo.a -l:libpixman-1.a -lpng16 -lfontconfig \
  $(filter-out -lrocksdb -lcairo,$(LDLIBS))
else
PROGRAM_LDLIBS := $(LDLIBS)
endif
ifneq ($(MOLD),)
LDFLAGS += -fuse-ld=mold
endif

# Functions and lines for backtraces. The names and types of variables, which only a debugger reads,
# would cost a quarter of the time of a build and make objects four times as large.
DEBUG_INFO := -g1
# Against mistakes that an attacker would use; each can be taken away alone. tests/hardening_test.cc
# looks for them in the daemon.
HARDENING := -D_FORTIFY_SOURCE=3                # Lengths of copies, against the room that is there.
HARDENING += -D_GLIBCXX_ASSERTIONS              # Positions in containers, optionals without a value.
HARDENING += -fstack-clash-protection           # The stack does not jump over its guard page.
HARDENING += -ftrivial-auto-var-init=zero       # No variable shows what was on the stack before.
ifeq ($(shell uname -m),x86_64)
HARDENING += -fcf-protection                    # Marks where an indirect jump may land.
endif
ifeq ($(MODE),release)
CXXFLAGS += -O2 $(HARDENING) -fno-plt
else ifeq ($(MODE),debug)
CXXFLAGS += -O0
DEBUG_INFO := -g
else ifeq ($(MODE),asan)
CXXFLAGS += -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
LDFLAGS += -fsanitize=address,undefined
else ifeq ($(MODE),tsan)
# What g++ takes for uninitialised under this sanitizer is not.
CXXFLAGS += -O1 -fno-omit-frame-pointer -fsanitize=thread -Wno-error=tsan -Wno-maybe-uninitialized
LDFLAGS += -fsanitize=thread
else ifeq ($(MODE),fuzz)
CXX := clang++
WARN :=
CXXFLAGS += -O1 -fno-omit-frame-pointer -fno-sanitize-recover=undefined \
  -fsanitize=fuzzer-no-link,address,undefined
LDFLAGS += -fsanitize=fuzzer,address,undefined
else
$(error MODE is '$(MODE)'; it must be release, debug, asan, tsan or fuzz)
endif
CXXFLAGS += $(DEBUG_INFO)
# g++ looks for memory to free only beyond 1 GB, which no file here needs: a build is 7 % shorter.
GCC_MEMORY := --param=ggc-min-expand=1000 --param=ggc-min-heapsize=1000000
ifneq ($(MODE),fuzz)
CXXFLAGS += $(GCC_MEMORY)
endif

# Objects are built anew when this changes.
FLAGS := $(CXX) $(CPPFLAGS) $(CXXFLAGS)

SRCS := $(sort $(shell find src -name '*.cc'))
# Why: src/base/fiber.cc.
ifeq ($(MODE),tsan)
$(B)/src/base/fiber.o: CXXFLAGS += -fno-sanitize=thread -DKVCS_TSAN_FIBERS
endif
LIB_OBJS := $(patsubst %.cc,$(B)/%.o,$(filter-out src/main.cc,$(SRCS))) $(B)/gen/web_assets$(WEB).o \
  $(B)/src/kvfile/plot/plot_fonts.o
TEST_SRCS := $(sort $(shell find tests -name '*.cc' -not -path 'tests/fuzz/main.cc' -not -path 'tests/bench/*' \
  -not -path 'tests/support/preload/*'))
TEST_OBJS := $(patsubst %.cc,$(B)/%.o,$(TEST_SRCS))
BENCH_SRCS := $(sort $(wildcard tests/bench/*.cc))
BENCH_BINS := $(patsubst %.cc,$(B)/%,$(BENCH_SRCS))
# Servers that `make bench` compares ours with: each over one library, none of it ours.
HELLO_BINS := $(addprefix $(B)/tests/bench/hello/,beast h2o microhttpd libevent httplib)
# A fuzzer is the parsers, the targets' functions and one main per target.
FUZZ_TARGETS := $(notdir $(wildcard tests/fuzz/corpus/*))
FUZZ_OBJS := $(patsubst %.cc,$(B)/%.o,$(sort $(wildcard src/base/*.cc src/kvfile/*.cc src/kvfile/*/*.cc)) \
  $(addprefix src/http/,wire/chunked_body.cc serve/head_parser.cc http.cc sse.cc client/upstream_rules.cc) \
  src/gateway/gateway.cc $(addprefix src/gateway/outbound/,outbound_auth.cc sigv4.cc url_guard.cc) src/ops/cron_expression.cc \
  tests/fuzz/file_targets.cc tests/fuzz/text_targets.cc) $(B)/src/kvfile/plot/plot_fonts.o
RUN_ARGS ?= serve --data-dir data

# All cores, unless `make -jN` said otherwise.
ifeq ($(MAKELEVEL)$(findstring jobserver,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc)
endif
MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := all
.PHONY: help deps deps-run deps-test deps-browser deps-e2e deps-check deps-fuzz deps-deb deps-bench
.PHONY: all run test e2e chaos soak proof check format asan tsan mutate bench fuzz web install deb screenshots
.PHONY: clean
.SECONDARY:
.DELETE_ON_ERROR:

help:
	@grep -hE '^[a-z0-9_.]+:.*## ' $(MAKEFILE_LIST) | \
	  awk -F':.*## ' '{printf "  %-21s %s\n", $$1, $$2}'

deps: ## Install all that any target but bench needs; silent and offline when all is there.
	@packaging/deps.sh
# Of that what one target needs.
deps-run deps-test deps-browser deps-e2e deps-check deps-fuzz deps-deb deps-bench: deps-%:
	@WEB=$(WEB) packaging/deps.sh $*

# What is installed may be the very libraries whose flags pkg-config reports, so `run`, `test` and
# the like build in a fresh make.
all: $(B)/kvcs ## Build build/$(MODE)/kvcs.

run: deps-run ## Install, build and start the appliance on 127.0.0.1:8080.
	@$(MAKE) all
	$(B)/kvcs $(RUN_ARGS)

test: deps-test ## Install, build, then run every test; the last line counts them.
	@$(MAKE) $(B)/kvcs $(B)/kvcs_tests
	@tests/run.sh $(B)

e2e: deps-e2e ## The end-to-end tests alone, with the command lines of Claude Code and Codex.
	@$(MAKE) $(B)/kvcs $(B)/kvcs_tests
	@tests/run.sh $(B) e2e

chaos: deps-test ## Random kills under load for CHAOS_SECONDS (600), checked against what was answered.
	@$(MAKE) all
	@CHAOS_SECONDS=$${CHAOS_SECONDS:-600} KVCS_BINARY=$(abspath $(B)/kvcs) \
	  node --test --test-reporter=spec tests/e2e/chaos.test.mjs

soak: deps-test ## Mixed load on all doors for SOAK_SECONDS (600): no growth, and equal accounts.
	@$(MAKE) all
	@SOAK_SECONDS=$${SOAK_SECONDS:-600} KVCS_BINARY=$(abspath $(B)/kvcs) \
	  node --test --test-reporter=spec tests/e2e/soak.test.mjs

proof: deps-test ## The cases that tests/PROOF.md names, one by one; WORDS='revoked key' of those alone.
	@$(MAKE) $(B)/kvcs $(B)/kvcs_tests
	@tests/proof.sh $(B) "$$WORDS"

check: deps-check ## clang-format, clang-tidy, clang -Wthread-safety, warnings as errors.
	@$(MAKE) check-sources
check-sources: $(B)/gen/version.h
	@CPPFLAGS='$(CPPFLAGS)' packaging/check.sh $(B)
.PHONY: check-sources

# Editors read it with clang, which does not know all of g++'s warnings.
compile_commands.json: $(B)/gen/version.h FORCE ## How each file is compiled, for clangd and other editors.
	@packaging/compile_commands.sh '$(CXX) $(CPPFLAGS) $(filter-out $(WARN) $(GCC_MEMORY) $(HARDENING),$(CXXFLAGS)) -Wall -Wextra' \
	  $(SRCS) $(TEST_SRCS) $(BENCH_SRCS) > $@.new
	@mv $@.new $@

format: ## Lay out all C++ files as .clang-format says.
	@git ls-files '*.cc' '*.h' | xargs clang-format -i

asan: ## All tests under AddressSanitizer and UndefinedBehaviorSanitizer.
	@$(MAKE) MODE=asan test

tsan: ## All tests under ThreadSanitizer.
	@$(MAKE) MODE=tsan test

mutate: deps-test ## Break the code in one line at a time: each time a test must fail; ONLY='WORD …'.
	@$(MAKE) all $(B)/kvcs_tests
	@tests/mutate.sh $(B) $(ONLY)

bench: deps-bench ## Print the performance table: each row beside a peer or a physical limit.
	@$(MAKE) $(B)/kvcs $(BENCH_BINS) $(HELLO_BINS)
	@tests/bench/run.sh $(B)

web: web/dist/.stamp ## Build the embedded web pages.

screenshots: deps-browser ## Take README's pictures of the dashboard anew; prints what its pages cost.
	@$(MAKE) all
	@KVCS_BINARY="$(CURDIR)/$(B)/kvcs" node tests/e2e/screens.mjs web/docs/screens

install: all ## Install to $(DESTDIR)$(PREFIX).
	@packaging/install.sh "$(B)" "$(DESTDIR)" "$(PREFIX)"

clean: ## Remove build/ and web/dist.
	rm -rf build web/dist

deb: deps-deb ## Build kvcs_VERSION_ARCH.deb under build/.
	@$(MAKE) all
	@packaging/build_deb.sh "$(B)" "$(VERSION)"

fuzz: deps-fuzz ## A minute of libFuzzer for each parser, two at a time; FUZZ_SECONDS=60.
	@$(MAKE) MODE=fuzz fuzz-binaries
	@tests/fuzz/run.sh build/fuzz $(FUZZ_TARGETS)
fuzz-binaries: $(addprefix $(B)/fuzz_,$(FUZZ_TARGETS))
.PHONY: fuzz-binaries

# --- web assets -----------------------------------------------------------------------------
ifeq ($(WEB),1)
WEB_SRCS := $(shell find web -type f -not -path 'web/node_modules/*' -not -path 'web/dist/*' 2>/dev/null)
web/dist/.stamp: $(WEB_SRCS)
	@web/build.sh
	@touch $@
WEB_STAMP := web/dist/.stamp
endif
$(B)/gen/web_assets$(WEB).S: web/embed.sh $(WEB_STAMP)
	@mkdir -p $(@D)
	@web/embed.sh $(WEB) $@
$(B)/gen/web_assets$(WEB).o: $(B)/gen/web_assets$(WEB).S
	$(CXX) -c $< -o $@

# --- version --------------------------------------------------------------------------------
$(B)/gen/version.h: FORCE
	@mkdir -p $(@D)
	@printf '// Generated by make.\n#define KVCS_VERSION "%s"\n#define KVCS_COMMIT "%s"\n' '$(VERSION)' '$(COMMIT)' > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
$(B)/gen/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(FLAGS)' > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
.PHONY: FORCE

# --- objects --------------------------------------------------------------------------------
$(B)/src/%.o: src/%.cc $(B)/gen/flags | $(B)/gen/version.h
	@mkdir -p $(@D)
	@echo "  CXX $<"
	@$(CCACHE) $(CXX) $(CPPFLAGS) $(CXXFLAGS) -MMD -MP -c $< -o $@
$(B)/src/kvfile/plot/plot_fonts.o: src/kvfile/plot/plot_fonts.S $(wildcard src/kvfile/plot/*.ttf)
	@mkdir -p $(@D)
	@$(CXX) -c $< -o $@
$(B)/tests/bench/%.o: tests/bench/%.cc $(B)/gen/flags | $(B)/gen/version.h
	@mkdir -p $(@D)
	@echo "  CXX $<"
	@$(CCACHE) $(CXX) $(CPPFLAGS) -Itests $(CXXFLAGS) -MMD -MP -c $< -o $@
# Tests are not optimized, and their own code is not what an attacker reaches.
$(B)/tests/%.o: tests/%.cc $(B)/gen/flags | $(B)/gen/version.h
	@mkdir -p $(@D)
	@echo "  CXX $<"
	@$(CCACHE) $(CXX) $(CPPFLAGS) -Itests $(filter-out $(HARDENING),$(CXXFLAGS)) -O0 -MMD -MP -c $< -o $@

$(B)/libkvcs.a: $(LIB_OBJS)
	@rm -f $@
	@ar rcs $@ $^
$(B)/kvcs: $(B)/src/main.o $(B)/libkvcs.a
	@echo "  LINK $@"
	@$(CXX) $(LDFLAGS) -o $@ $< $(B)/libkvcs.a $(PROGRAM_LDLIBS) $(ALLOCATOR)
# What tests load into a daemon to make its disk fail.
$(B)/disk_fault.so: tests/support/preload/disk_fault.c tests/support/preload/fault_plan.h
	@mkdir -p $(@D)
	@$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -fPIC -shared -o $@ $<
# A daemon whose memory can be made to fail: in the allocator's place is one of the tests.
$(B)/kvcs_starved: $(B)/src/main.o $(B)/tests/support/preload/alloc_fault.o $(B)/libkvcs.a
	@echo "  LINK $@"
	@$(CXX) $(LDFLAGS) -rdynamic -o $@ $^ $(LDLIBS)
ifneq ($(filter release debug,$(MODE)),)
STARVED := $(B)/kvcs_starved
endif
$(B)/kvcs_tests: $(TEST_OBJS) $(B)/libkvcs.a | $(B)/disk_fault.so $(STARVED)
	@echo "  LINK $@"
	@$(CXX) $(LDFLAGS) -o $@ $(TEST_OBJS) $(B)/libkvcs.a $(LDLIBS) $(ALLOCATOR)
# For tests/mutate.sh: a changed copy of one file, $(MUTANT), before the library that has its original.
mutant-tests:
	@$(CCACHE) $(CXX) $(CPPFLAGS) $(CXXFLAGS) -O0 -U_FORTIFY_SOURCE -g0 -w -c $(MUTANT) -o $(B)/mutate/mutant.o
	@$(CXX) $(LDFLAGS) -Wl,--strip-debug -o $(B)/mutate/kvcs_tests $(TEST_OBJS) $(B)/mutate/mutant.o $(B)/libkvcs.a $(LDLIBS) $(ALLOCATOR)
mutant-daemon:
	@$(CXX) $(LDFLAGS) -Wl,--strip-debug -o $(B)/mutate/kvcs $(B)/src/main.o $(B)/mutate/mutant.o $(B)/libkvcs.a $(LDLIBS) $(ALLOCATOR)
.PHONY: mutant-tests mutant-daemon
$(B)/tests/bench/%: $(B)/tests/bench/%.o $(B)/libkvcs.a
	@echo "  LINK $@"
	@$(CXX) $(LDFLAGS) -o $@ $< $(B)/libkvcs.a $(LDLIBS) $(ALLOCATOR)
$(B)/tests/bench/hello/h2o: HELLO_FLAGS := -DH2O_USE_LIBUV=0
$(B)/tests/bench/hello/h2o: HELLO_LIBS := -lh2o-evloop -lssl -lcrypto -lz
$(B)/tests/bench/hello/microhttpd: HELLO_LIBS := -lmicrohttpd
$(B)/tests/bench/hello/libevent: HELLO_LIBS := -levent
$(B)/tests/bench/hello/httplib: HELLO_LIBS := $(shell pkg-config --libs cpp-httplib 2>/dev/null)
$(B)/tests/bench/hello/%: tests/bench/hello/%.cc tests/bench/hello/hello.h
	@mkdir -p $(@D)
	@echo "  HELLO $<"
	@$(CXX) $(HTTPLIB_CFLAGS) -std=c++20 -O2 -pthread -Itests $(HELLO_FLAGS) -o $@ $< $(HELLO_LIBS)
$(B)/tests/bench/hello/%: tests/bench/hello/%.c tests/bench/hello/hello.h
	@mkdir -p $(@D)
	@echo "  HELLO $<"
	@$(CC) -std=gnu11 -O2 -pthread -Itests $(HELLO_FLAGS) -o $@ $< $(HELLO_LIBS)
$(FUZZ_TARGETS:%=$(B)/tests/fuzz/main_%.o): $(B)/tests/fuzz/main_%.o: tests/fuzz/main.cc
	@mkdir -p $(@D)
	@$(CCACHE) $(CXX) $(CPPFLAGS) -Itests $(CXXFLAGS) -DKVCS_FUZZ_TARGET='"$*"' -MMD -MP -c $< -o $@
$(B)/fuzz_%: $(B)/tests/fuzz/main_%.o $(FUZZ_OBJS)
	@echo "  LINK $@"
	@$(CXX) $(LDFLAGS) -o $@ $^ $(LDLIBS)

-include $(shell find $(B) -name '*.d' 2>/dev/null)
