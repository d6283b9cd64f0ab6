package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/cmd/metricstream/internal/config"
	"github.com/metricstream/metricstream/cmd/metricstream/internal/lifecycle"
	"github.com/prometheus/client_golang/prometheus"
)

// TestElections checks when replicas are told apart, and when the start warns of receivers that elect on their own.
func TestElections(t *testing.T) {
	for name, tc := range map[string]struct {
		change     func(*config.Config)
		on, warned bool
	}{
		"off":         {func(c *config.Config) { c.Kafka.Brokers = []string{"kafka:9092"} }, false, false},
		"one process": {func(c *config.Config) { c.RemoteWrite.HA.Enabled = true }, true, false},
		"a cluster":   {func(c *config.Config) { c.RemoteWrite.HA.Enabled, c.Kafka.Brokers = true, []string{"kafka:9092"} }, true, true},
		"a cluster with a Redis": {func(c *config.Config) {
			c.RemoteWrite.HA.Enabled, c.Kafka.Brokers, c.Redis.Address = true, []string{"kafka:9092"}, "redis:6379"
		}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := config.Default()
			tc.change(&c)
			var log bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&log, nil))
			n := &node{config: c, logger: logger, registry: prometheus.NewRegistry(), stack: lifecycle.New(logger)}
			tracker := n.elections()
			if err := n.stack.Stop(10 * time.Second); err != nil {
				t.Error(err)
			}
			if (tracker != nil) != tc.on {
				t.Errorf("on: %v, want %v", tracker != nil, tc.on)
			}
			if warned := strings.Contains(log.String(), "redis.address"); warned != tc.warned {
				t.Errorf("warned: %v, want %v: %s", warned, tc.warned, log.String())
			}
		})
	}
}
