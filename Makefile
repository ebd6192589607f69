.PHONY: help demo demo-down release test conformance clients fuzz aws check

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 13

demo: ## From nothing to a running service with a private image; needs Rust, installs the rest after saying so
	@scripts/demo.sh

demo-down: ## Remove all that `make demo` started
	@scripts/demo-down.sh

release: ## The l0 to hand out: with AWS, static, so that it runs everywhere and `l0 setup` can make an image of it, and the least memory
	@scripts/release.sh

test: ## Every test, with its own set-up
	@scripts/test.sh

conformance: ## The OCI conformance suite against a real server; needs Go
	@scripts/conformance.sh

clients: ## crane, oras, regctl and cosign against a real server, and a blob of 10 GiB; needs Go
	@scripts/clients.sh

fuzz: ## Fuzz every target for a while (LAYER0_FUZZ_SECONDS=20 each)
	@scripts/fuzz.sh

aws: ## What needs an emulator of AWS, with its own set-up; needs Python 3
	@scripts/aws.sh

check: ## Format, lints, docs, arrows, generated files and the other rules
	@cargo xtask check
