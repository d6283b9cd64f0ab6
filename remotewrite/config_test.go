package remotewrite

import (
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

func TestDefaultConfigIsValid(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func TestConfigRefusals(t *testing.T) {
	for text, key := range map[string]string{
		"max_body_bytes: 0":                "remote_write.max_body_bytes",
		"max_decoded_bytes: -1":            "remote_write.max_decoded_bytes",
		"max_in_flight_requests: 0":        "remote_write.max_in_flight_requests",
		"max_series_per_request: 0":        "remote_write.max_series_per_request",
		"max_points_per_request: 0":        "remote_write.max_points_per_request",
		"max_labels_per_series: 0":         "remote_write.max_labels_per_series",
		"max_label_name_bytes: 0":          "remote_write.max_label_name_bytes",
		"max_label_value_bytes: 999999999": "remote_write.max_label_value_bytes",
		"max_histogram_buckets: 0":         "remote_write.max_histogram_buckets",
		"max_cached_series: 0":             "remote_write.max_cached_series",
		"limit_status: 503":                "remote_write.limit_status",
		"max_future: -1s":                  "remote_write.max_future",
		"max_age: -1s":                     "remote_write.max_age",
		"cache_idle: 1s":                   "remote_write.cache_idle",
	} {
		c := DefaultConfig()
		if err := yaml.Unmarshal([]byte(text), &c); err != nil {
			t.Fatal(err)
		}
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), key+" is ") {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

func TestConfigFromYAML(t *testing.T) {
	c := DefaultConfig()
	if err := yaml.Unmarshal([]byte("max_future: 5m\nmax_cached_series: 7\n"), &c); err != nil {
		t.Fatal(err)
	}
	if c.MaxFuture != 5*time.Minute || c.MaxCachedSeries != 7 || c.MaxBodyBytes != 32<<20 {
		t.Errorf("got %+v", c)
	}
}
