# Targets run in every module of the workspace. "make help" lists them.

MODULES := . bench demo examples internal/integration propagation/autoprop tools
GO      ?= go

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: test
TESTFLAGS ?=
test: ## run the tests of all modules, except those in a browser; needs only Go, git and make
	@for m in $(MODULES); do (cd $$m && echo "# $$m" && CGO_ENABLED=0 $(GO) test -short $(TESTFLAGS) ./...) || exit 1; done

.PHONY: race
race: ## run the same tests under the race detector; needs a C compiler
	@for m in $(MODULES); do (cd $$m && echo "# $$m" && CGO_ENABLED=1 $(GO) test -race -short ./...) || exit 1; done

.PHONY: browser
SHOTS ?= $(CURDIR)/.ci/out
browser: ## test the edge and the demo's page in chromium, with screenshots in SHOTS (.ci/out)
	cd internal/integration && WAYBILL_NEED_BROWSER=1 $(GO) test -count=1 -timeout 5m ./browser
	cd demo && WAYBILL_NEED_BROWSER=1 WAYBILL_SCREENSHOTS=$(SHOTS) $(GO) test -count=1 -timeout 15m ./internal/browser
	cd internal/integration && WAYBILL_NEED_BROWSER=1 $(GO) test -count=1 -timeout 5m -run Chromium ./proxies

.PHONY: compose
compose: ## test the compose stack on a Docker engine while parts of it fail; needs root if no engine runs
	.ci/compose

.PHONY: lint
lint: ## check formatting, vet, static analysis and tidy modules
	@files=$$(git ls-files '*.go' | xargs gofmt -l); test -z "$$files" || { echo "run: gofmt -w" $$files; exit 1; }
	@cd tools && $(GO) build -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	@for m in $(MODULES); do (cd $$m && echo "# $$m" && $(GO) vet ./... && $(CURDIR)/bin/staticcheck ./...) || exit 1; done
	@for m in $(MODULES); do (cd $$m && GOWORK=off $(GO) mod tidy -diff > /dev/null) || { echo "run: go mod tidy in $$m"; exit 1; }; done

.PHONY: fuzz
# A number of inputs, not a time: a target that times out at the wrong moment fails with "context deadline exceeded".
FUZZTIME ?= 30000x
fuzz: ## run every fuzz target on FUZZTIME inputs (30000x)
	@for d in $$(git grep -l '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -ho '^func Fuzz[A-Za-z0-9]*' $$d/*_test.go | cut -c6-); do \
	    echo "# $$d $$f"; (cd $$d && $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) .) || exit 1; \
	  done; done

.PHONY: bench
bench: ## measure opening and issuing next to other libraries, and the cost of a hop in each transport
	cd bench && $(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: soak
soak: ## rotate keys for 180 s in each run, while the broker is killed and loses its store
	cd internal/integration && $(GO) test ./natskv -run 'TestBroken' -timeout 60m -v -soak 180s

.PHONY: mutants
mutants: ## check that the models of the edge find each known wrong rule, and run all orders of three requests
	$(GO) test -count=1 -timeout 90m -v -run 'TestMutantsOfTheMerge|TestRankModelOfAllOrders' . -args -model.long

.PHONY: readme
readme: ## run every command and check every snippet of README.md and docs
	.ci/readme
