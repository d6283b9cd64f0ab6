package api_test

import (
	"strings"
	"testing"

	"github.com/metricstream/metricstream/promql/api"
)

func TestConfig(t *testing.T) {
	if err := api.DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	for key, spoil := range map[string]func(*api.Config){
		"timeout":              func(c *api.Config) { c.Timeout = 0 },
		"max_concurrent_reads": func(c *api.Config) { c.MaxConcurrentReads = -1 },
		"max_series":           func(c *api.Config) { c.MaxSeries = 0 },
		"read_max_samples":     func(c *api.Config) { c.ReadMaxSamples = 0 },
		"read_max_frame_bytes": func(c *api.Config) { c.ReadMaxFrameBytes = 0 },
		"cors_origin":          func(c *api.Config) { c.CORSOrigin = "(" },
	} {
		c := api.DefaultConfig()
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), key+" ") {
			t.Errorf("%s: got %v", key, err)
		}
	}
	if _, err := api.New(api.Options{Config: api.DefaultConfig()}); err == nil {
		t.Error("an API without an engine is accepted")
	}
}
