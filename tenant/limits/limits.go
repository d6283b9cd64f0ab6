// Package limits owns how much a tenant or a key may use: the limits, their defaults and overrides. It leaves counting
// and refusing to those who see the use.
package limits

import (
	"fmt"
	"math"

	"github.com/prometheus/common/model"
)

// Limits bound what one tenant, or one key, uses. 0 is no limit beyond those of the process, which are in the
// sections remote_write and query.
type Limits struct {
	// SamplesPerSecond bounds the float and histogram samples that all receivers together accept, on average.
	// SamplesBurst is how many may come at once; 0 is ten seconds' worth, so that the first minute after a pause may have
	// 17 % more than the limit.
	SamplesPerSecond int64 `yaml:"samples_per_second" json:"samples_per_second"`
	SamplesBurst     int64 `yaml:"samples_burst" json:"samples_burst"`

	// ActiveSeries bounds the series that had samples within the last hour, NewSeriesPerMinute those of them that had
	// none before.
	ActiveSeries       int64 `yaml:"active_series" json:"active_series"`
	NewSeriesPerMinute int64 `yaml:"new_series_per_minute" json:"new_series_per_minute"`

	// RequestBytes bounds the body of a write as it comes.
	RequestBytes int64 `yaml:"request_bytes" json:"request_bytes"`

	// LabelsPerSeries, LabelNameBytes and LabelValueBytes bound the labels of a series.
	LabelsPerSeries int64 `yaml:"labels_per_series" json:"labels_per_series"`
	LabelNameBytes  int64 `yaml:"label_name_bytes" json:"label_name_bytes"`
	LabelValueBytes int64 `yaml:"label_value_bytes" json:"label_value_bytes"`

	// ExemplarsPerRequest and MetadataPerRequest bound what is kept of a write; the rest of it is dropped and counted.
	ExemplarsPerRequest int64 `yaml:"exemplars_per_request" json:"exemplars_per_request"`
	MetadataPerRequest  int64 `yaml:"metadata_per_request" json:"metadata_per_request"`

	// ConcurrentQueries bounds the queries that one querier evaluates at once.
	ConcurrentQueries int64 `yaml:"concurrent_queries" json:"concurrent_queries"`

	// QuerySeries and QuerySamples bound what one query reads with all its selectors.
	QuerySeries  int64 `yaml:"query_series" json:"query_series"`
	QuerySamples int64 `yaml:"query_samples" json:"query_samples"`

	// QueryRange bounds the time from the start to the end of a query, QueryDuration how long it may take.
	QueryRange    model.Duration `yaml:"query_range" json:"query_range"`
	QueryDuration model.Duration `yaml:"query_duration" json:"query_duration"`
}

// Default returns the limits of a tenant that nobody has set any for: none.
func Default() Limits { return Limits{} }

// field is one limit by its name in YAML and JSON.
type field struct {
	name  string
	value int64
}

func (l Limits) fields() []field {
	return []field{
		{"samples_per_second", l.SamplesPerSecond},
		{"samples_burst", l.SamplesBurst},
		{"active_series", l.ActiveSeries},
		{"new_series_per_minute", l.NewSeriesPerMinute},
		{"request_bytes", l.RequestBytes},
		{"labels_per_series", l.LabelsPerSeries},
		{"label_name_bytes", l.LabelNameBytes},
		{"label_value_bytes", l.LabelValueBytes},
		{"exemplars_per_request", l.ExemplarsPerRequest},
		{"metadata_per_request", l.MetadataPerRequest},
		{"concurrent_queries", l.ConcurrentQueries},
		{"query_series", l.QuerySeries},
		{"query_samples", l.QuerySamples},
		{"query_range", int64(l.QueryRange)},
		{"query_duration", int64(l.QueryDuration)},
	}
}

// Validate checks the limits; errors name the limit.
func (l Limits) Validate() error {
	for _, f := range l.fields() {
		if f.value < 0 {
			return fmt.Errorf("limits.%s: %d is negative; set it to a positive number, or to 0 for no limit", f.name, f.value)
		}
	}
	if l.SamplesBurst > 0 && l.SamplesPerSecond == 0 {
		return fmt.Errorf("limits.samples_burst: is set without limits.samples_per_second, which it belongs to")
	}
	return nil
}

// defaultBurstSeconds is how many seconds' worth of samples may come at once where no burst is set.
const defaultBurstSeconds = 10

// Burst returns how many samples may come at once.
func (l *Limits) Burst() int64 {
	switch {
	case l.SamplesBurst > 0:
		return l.SamplesBurst
	case l.SamplesPerSecond > math.MaxInt64/defaultBurstSeconds:
		return math.MaxInt64
	}
	return defaultBurstSeconds * l.SamplesPerSecond
}

// Grant is what one request is held to: the limits of its tenant, and beside them those of its key, which count the
// key's use alone.
type Grant struct {
	Tenant string
	Limits Limits

	// Key names the key, empty where there is none or it has no limits.
	Key       string
	KeyLimits Limits

	// Home is the tenant that the key, with limits or without, belongs to; empty where there is none.
	Home string

	// Each are, for a read of several tenants, the grants of each.
	Each []Grant
}
