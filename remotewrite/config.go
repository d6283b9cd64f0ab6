package remotewrite

import (
	"fmt"
	"time"

	"github.com/metricstream/metricstream/remotewrite/codec"
	"github.com/metricstream/metricstream/remotewrite/ha"
)

// Config is the section remote_write of the configuration.
type Config struct {
	// MaxBodyBytes bounds a request's body as it comes, MaxDecodedBytes what it says that it decodes to.
	MaxBodyBytes    int `yaml:"max_body_bytes"`
	MaxDecodedBytes int `yaml:"max_decoded_bytes"`

	// MaxInFlight bounds the requests that are worked on at the same time.
	MaxInFlight int `yaml:"max_in_flight_requests"`

	// MaxSeriesPerRequest and MaxPointsPerRequest bound the series of a request, and its samples,
	// histograms, exemplars and metadata messages together.
	MaxSeriesPerRequest int `yaml:"max_series_per_request"`
	MaxPointsPerRequest int `yaml:"max_points_per_request"`

	// MaxLabelsPerSeries bounds the labels of a series, the other two their lengths.
	MaxLabelsPerSeries int `yaml:"max_labels_per_series"`
	MaxLabelNameBytes  int `yaml:"max_label_name_bytes"`
	MaxLabelValueBytes int `yaml:"max_label_value_bytes"`

	// MaxHistogramBuckets bounds the buckets, the spans and the custom bounds of a native histogram.
	MaxHistogramBuckets int `yaml:"max_histogram_buckets"`

	// MaxFuture is how far ahead of this machine's clock a sample may be.
	MaxFuture time.Duration `yaml:"max_future"`

	// MaxAge is how old a sample may be; 0 is any age since 1970. It is as long as raw samples are kept: an older
	// one would be dropped at once.
	MaxAge time.Duration `yaml:"max_age"`

	// MaxCachedSeries bounds the series whose labels are remembered, each of which takes some 700 bytes, and
	// CacheIdle is how long one is remembered after its last sample.
	MaxCachedSeries int           `yaml:"max_cached_series"`
	CacheIdle       time.Duration `yaml:"cache_idle"`

	// LimitStatus is the answer to requests over a limit on samples a second: 429, or 529 for senders that drop data on
	// 429, as a Prometheus without retry_on_http_429 does.
	LimitStatus int `yaml:"limit_status"`

	// HA is how replicas that send the same are told apart.
	HA ha.Config `yaml:"ha"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		MaxBodyBytes:        32 << 20,
		MaxDecodedBytes:     32 << 20,
		MaxInFlight:         256,
		MaxSeriesPerRequest: 100_000,
		MaxPointsPerRequest: 500_000,
		MaxLabelsPerSeries:  64,
		MaxLabelNameBytes:   1024,
		MaxLabelValueBytes:  4096,
		MaxHistogramBuckets: 16_384,
		MaxFuture:           10 * time.Minute,
		MaxAge:              7 * 24 * time.Hour,
		MaxCachedSeries:     1_000_000,
		CacheIdle:           time.Hour,
		LimitStatus:         429,
		HA:                  ha.DefaultConfig(),
	}
}

// maxLabelBytes is what labels.Labels can hold.
const maxLabelBytes = 1<<24 - 1

// Validate checks the section; its errors name the key.
func (c Config) Validate() error {
	for _, f := range []struct {
		key      string
		n, least int
		most     int
	}{
		{"max_body_bytes", c.MaxBodyBytes, 1, 1 << 30},
		{"max_decoded_bytes", c.MaxDecodedBytes, 1, 1 << 30},
		{"max_in_flight_requests", c.MaxInFlight, 1, 1 << 20},
		{"max_series_per_request", c.MaxSeriesPerRequest, 1, 10_000_000},
		{"max_points_per_request", c.MaxPointsPerRequest, 1, 100_000_000},
		{"max_labels_per_series", c.MaxLabelsPerSeries, 1, 10_000},
		{"max_label_name_bytes", c.MaxLabelNameBytes, 1, maxLabelBytes},
		{"max_label_value_bytes", c.MaxLabelValueBytes, 1, maxLabelBytes},
		{"max_histogram_buckets", c.MaxHistogramBuckets, 1, 1 << 24},
		{"max_cached_series", c.MaxCachedSeries, 1, 1 << 30},
	} {
		if f.n < f.least || f.n > f.most {
			return fmt.Errorf("remote_write.%s is %d: set it to a number from %d to %d", f.key, f.n, f.least, f.most)
		}
	}
	if c.MaxFuture < 0 {
		return fmt.Errorf("remote_write.max_future is %s: set it to 0 or a positive duration such as 10m", c.MaxFuture)
	}
	if c.MaxAge < 0 {
		return fmt.Errorf("remote_write.max_age is %s: set it to a positive duration such as 168h, or to 0 for any age", c.MaxAge)
	}
	if c.CacheIdle < time.Minute {
		return fmt.Errorf("remote_write.cache_idle is %s: set it to at least 1m", c.CacheIdle)
	}
	if c.LimitStatus != 429 && c.LimitStatus != statusSiteOverloaded {
		return fmt.Errorf("remote_write.limit_status is %d: set it to 429, or to 529 for senders that drop data on 429", c.LimitStatus)
	}
	return c.HA.Validate()
}

func (c Config) limits() codec.Limits {
	return codec.Limits{
		Series: c.MaxSeriesPerRequest, Points: c.MaxPointsPerRequest,
		Labels: c.MaxLabelsPerSeries, NameBytes: c.MaxLabelNameBytes, ValueBytes: c.MaxLabelValueBytes,
		Buckets: c.MaxHistogramBuckets, FutureMs: c.MaxFuture.Milliseconds(), AgeMs: c.MaxAge.Milliseconds(),
	}
}
