package store

import "context"

// StatsReader counts a tenant's series.
type StatsReader interface {
	// Stats counts the series of the tenant's last two days that have samples. Each list has at most limit
	// entries, of which there must be at least one.
	Stats(ctx context.Context, tenant string, limit int) (Stats, error)
}

// Stats are the cardinalities of a tenant. The lists are in falling order of Value.
type Stats struct {
	Series, LabelPairs uint64

	// MinMs and MaxMs bound the samples of these series; days are their resolution. Without series both are 0.
	MinMs, MaxMs int64

	SeriesByMetric []Count // by metric name
	ValuesByLabel  []Count // distinct values, by label name
	BytesByLabel   []Count // of all values, by label name
	SeriesByPair   []Count // by name=value
}

// Count is a name with a number.
type Count struct {
	Name  string
	Value uint64
}
