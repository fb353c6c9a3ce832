# The two commands: `make demo` and `make test`. Both install what is missing on a fresh Debian or Ubuntu.
# Nothing here needs a cloud account or a container registry.

CARGO     ?= cargo
PROVISION  = $(or $(CARGO_TARGET_DIR),target)/debug/provision
export PROVISION_LAB_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/provision-lab
# A rustup that was installed a moment ago is not on the PATH of this shell yet.
export PATH := $(HOME)/.cargo/bin:$(PATH)

.PHONY: help demo clean-demo test test-machine test-code bench machines lint install-demo install-test install-machines build build-tests lab lab-containers lab-machines lab-python

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | awk -F'|' '{ printf "  make %-12s %s\n", $$1, $$2 }'

demo: install-demo ## a guestbook on PostgreSQL behind TLS, on a virtual machine of this computer
	@$(MAKE) --no-print-directory -j2 build lab
	@$(PROVISION) apply demo --yes
	@echo
	@echo "provision is $(PROVISION) here; \`make clean-demo\` takes the demo back"

test: install-test ## everything: unit, golden, fault and end-to-end tests on real machines
	@$(MAKE) --no-print-directory -j2 build-tests lab-containers lab-python
	@$(MAKE) --no-print-directory -j2 test-machine test-code

# The one virtual machine, and everything else beside it.
MACHINE = a_virtual_machine
test-machine:
	$(CARGO) test --workspace --test end_to_end $(MACHINE)

test-code:
	$(CARGO) test --workspace --test end_to_end -- --skip $(MACHINE)
	tests/scripts/run.sh
	tests/lab/doubles/selftest
	tests/lab/aws/selftest
	tests/lab/digitalocean/selftest
	$(CARGO) test --workspace --all-targets

clean-demo: ## take the demo back
	@$(PROVISION) destroy demo --yes

machines: install-machines ## the stories that `make test` has no time for: the whole life of the demo on a virtual machine, the three larger systems; an hour
	@$(MAKE) --no-print-directory -j2 build-tests lab-machines lab-python
	$(CARGO) test --test end_to_end -- --ignored --skip the_event_platform
	PROVISION_LAB_MACHINES=qemu $(CARGO) test --test end_to_end -- --ignored the_event_platform

bench: install-test ## numbers for the README, on the release build without the clouds
	@$(MAKE) --no-print-directory lab
	tests/bench

lint: ## formatting, clippy, shellcheck
	$(CARGO) fmt --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --workspace --test end_to_end -- -D warnings

install-demo:
	@tests/lab/install demo

install-test:
	@tests/lab/install test

install-machines:
	@tests/lab/install machines

# The program alone and without the clouds: nobody who wants to see the demo waits for tests and a cloud's SDK to compile.
build:
	@$(CARGO) build --no-default-features

build-tests:
	@$(CARGO) test --workspace --all-targets --no-run
	@$(CARGO) test --workspace --test end_to_end --no-run

# Machine images, container images and packages, built from Debian packages; kept in the user's cache.
lab:
	@tests/lab/images
	@tests/lab/containers caddy_2 postgres_17 provision-demo_1
	@ln -sfn "$(PROVISION_LAB_DIR)" .lab

# A small image of the tests' own, those of two of the five systems, and Docker Compose to judge what is written for them.
lab-containers: lab
	@tests/lab/containers busybox_1 nginx_1.30-alpine redis_8.10-alpine analytics-frontend_1 analytics-backend_1 commerce-shop_1
	@tests/lab/compose

# And of the others: RabbitMQ, Node, and a stand-in for what Debian does not have.
lab-machines: lab-containers
	@tests/lab/containers

# What the doubles of clouds run on. The demo has no use for it.
lab-python:
	@tests/lab/python
