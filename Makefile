# The two commands of a newcomer are `make demo` and `make test`.
.PHONY: all build demo test deps audit bench bench-compare fuzz release docs powershell-proof clean

all: build

# The program for this machine, and beside it the agents' programs for the nodes.
build:
	@./scripts/release bin/all "$$(go env GOOS)/$$(go env GOARCH)"
	@rm -rf bin/deploy bin/agents && mv bin/all/deploy-*/* bin/ && rm -r bin/all

# deploy for every platform, each with the agents for every platform of nodes, and their digests; in dist/mirror the agents for a server from which nodes
# fetch them.
release:
	@./scripts/release dist

# The main job on the embedded lab: two bare machines become a verified cluster.
demo:
	go run ./cmd/deploy apply --lab --auto-approve examples/exchange-2007-scc/site.yaml

# Installs what the tests need (Debian packages, when root) and runs every tier.
test: deps
	go run ./tools/tier

# One tier: make test-unit, test-race, test-names, test-lab, test-conformance, test-clients, test-openssh, test-nodes, test-wine, test-scripts, test-powershell.
test-%: deps
	go run ./tools/tier $*

deps:
	@./scripts/test-deps

# Two hundred schedules of kills, freezes and cut links, half of them on real nodes (as root), each
# with an audit of journal and machines. SEEDS and FIRST choose others.
audit: deps
	DEPLOY_TIER=auditor DEPLOY_AUDIT_SEEDS=$${SEEDS:-100} DEPLOY_AUDIT_FIRST=$${FIRST:-1} \
		go test -v -timeout 3h -run '^TestTierAuditor' ./cmd/deploy

bench:
	go test -run '^$$' -bench . -benchmem ./bench/... ./internal/engine/...

# The same files on real Linux nodes by this tool, Ansible and ssh: half an hour, as root. bench/run takes flags.
bench-compare: deps
	./bench/run

# A minute of every fuzz target; FUZZTIME=1h for the long way, FUZZ=NAME for some of them (a pattern).
fuzz:
	@./scripts/fuzz "$(FUZZTIME)" "$(FUZZ)"

# The generated part of the documentation: the step and rule reference, the schemas, tables of flags, keys, functions and events.
docs:
	go run ./cmd/deploy steps --markdown > docs/steps.md
	go run ./cmd/deploy rules --markdown > docs/rules.md
	go run ./cmd/deploy schema site > docs/site.schema.json
	go run ./cmd/deploy schema playbook > docs/playbook.schema.json
	UPDATE=1 go test -p 1 -count=1 -run '^TestTables?Of' ./internal/cli ./playbooks ./inventory ./internal/testkit/archtest

# Tests of the resident script for a machine that has a pwsh and neither Go nor a network; GOOS and GOARCH choose another system.
# With PWSH=/path/to/pwsh they are run here, too.
powershell-proof:
	@./scripts/powershell-proof $(PWSH)

# The page of fields and how a check treats them, from a play of the whole conformance tier.
docs-fields:
	DEPLOY_FIELDS=$$PWD/docs/fields.md go run ./tools/tier conformance

clean:
	rm -rf bin dist
