# Two commands do everything:
#
#   make run     build, and start MetricStream with embedded parts on :9009, data in ./data
#   make test    fetch what the tests run against, and run every test
#
# `make bench` compares with VictoriaMetrics and Prometheus where those are installed.
# `make chaos` kills processes at every crash point and writes what became of the samples into README.md; FOR=1h goes on
# for an hour. It also has two receivers share a limit for a minute.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w \
	-X github.com/prometheus/common/version.Version=$(VERSION) \
	-X github.com/prometheus/common/version.Revision=$(shell git rev-parse HEAD 2>/dev/null) \
	-X github.com/prometheus/common/version.Branch=$(shell git rev-parse --abbrev-ref HEAD 2>/dev/null)

.PHONY: build run test vet fetch bench chaos metrics clean

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/metricstream ./cmd/metricstream

run: build
	exec ./bin/metricstream all

test: vet fetch build
	go test -race -timeout 30m ./...

vet:
	@test -z "$$(gofmt -l $$(git ls-files "*.go") | tee /dev/stderr)" || { echo 'run: gofmt -w .'; exit 1; }
	go vet -stdmethods=false ./...   # Seek(int64) is the signature of Prometheus' iterators

# What the tests need beside Go, Java, Maven and npm: the embedded engine, Apache Kafka, real senders.
fetch:
	go run ./internal/testenv/fetch

bench: build
	./deployments/bench/compare.sh

FOR ?= 0s

chaos: fetch
	go test ./test/chaos -count=1 -v -timeout 0 -for $(FOR) -table ../../README.md
	go test ./test/e2e -count=1 -v -run TestReceiversShareALimit -limit-window 1m

# The page of all metrics, made anew from what the roles register.
metrics:
	go test ./cmd/metricstream -run TestMetricsPage -update

clean:
	rm -rf bin
