package api

import "context"

// Version is what status/buildinfo answers. Version must look like Prometheus' own, such as 3.14.0: clients
// read from it which PromQL they may send.
type Version struct {
	Version     string `json:"version"`
	Revision    string `json:"revision"`
	Branch      string `json:"branch"`
	BuildUser   string `json:"buildUser"`
	BuildDate   string `json:"buildDate"`
	GoVersion   string `json:"goVersion"`
	Application string `json:"application,omitempty"`
}

// Count is a name with how often it occurs.
type Count struct {
	Name  string `json:"name"`
	Value uint64 `json:"value"`
}

// Stats are the cardinalities of a tenant. The lists are in falling order of Value.
type Stats struct {
	Series, LabelPairs, Chunks uint64

	// MinMs and MaxMs are the times of the earliest and the latest sample.
	MinMs, MaxMs int64

	SeriesByMetric []Count
	ValuesByLabel  []Count
	BytesByLabel   []Count
	SeriesByPair   []Count
}

// StatsReader counts a tenant's series.
type StatsReader interface {
	// Stats returns at most limit entries in each list. Its errors are of a store.Kind.
	Stats(ctx context.Context, tenant string, limit int) (Stats, error)
}
