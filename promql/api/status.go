package api

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/util/features"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant"
)

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

// There is no features key: with one Grafana takes the server for Mimir and offers to edit its rules.
func (a *API) buildInfo(*http.Request) (result, error) { return result{data: jsonData{a.Version}}, nil }

func (a *API) flags(*http.Request) (result, error) {
	flags := a.Flags
	if flags == nil {
		flags = map[string]string{}
	}
	return result{data: jsonData{flags}}, nil
}

func (a *API) config(*http.Request) (result, error) {
	return result{data: jsonData{map[string]string{"yaml": a.ConfigYAML()}}}, nil
}

// features answers what the parser knows and what this API can, by category.
func (a *API) features(*http.Request) (result, error) {
	reg := features.NewRegistry()
	a.Parser.RegisterFeatures(reg)
	for _, name := range []string{"label_values_match", "query_stats", "query_warnings", "time_range_labels", "time_range_series"} {
		reg.Enable(features.API, name)
	}
	for _, name := range []string{"admin", "exclude_alerts", "lifecycle", "openapi_3.1", "openapi_3.2", "search"} {
		reg.Disable(features.API, name)
	}
	return result{data: jsonData{reg.Get()}}, nil
}

type runtimeInfo struct {
	StartTime           time.Time `json:"startTime"`
	CWD                 string    `json:"CWD"`
	Hostname            string    `json:"hostname"`
	ServerTime          time.Time `json:"serverTime"`
	ReloadConfigSuccess bool      `json:"reloadConfigSuccess"`
	LastConfigTime      time.Time `json:"lastConfigTime"`
	CorruptionCount     int64     `json:"corruptionCount"`
	GoroutineCount      int       `json:"goroutineCount"`
	GOMAXPROCS          int       `json:"GOMAXPROCS"`
	GOMEMLIMIT          int64     `json:"GOMEMLIMIT"`
	GOGC                string    `json:"GOGC"`
	GODEBUG             string    `json:"GODEBUG"`
	StorageRetention    string    `json:"storageRetention"`
}

// runtimeInfo says nothing of the folder that the process runs in: every tenant may read this.
func (a *API) runtimeInfo(*http.Request) (result, error) {
	hostname, err := os.Hostname()
	if err != nil {
		return result{}, &apiError{internal, fmt.Errorf("cannot read the host's name: %w", err)}
	}
	return result{data: jsonData{runtimeInfo{
		StartTime:           a.start.UTC(),
		Hostname:            hostname,
		ServerTime:          a.Now().UTC(),
		ReloadConfigSuccess: true,
		LastConfigTime:      a.start.UTC(),
		GoroutineCount:      runtime.NumGoroutine(),
		GOMAXPROCS:          runtime.GOMAXPROCS(0),
		GOMEMLIMIT:          debug.SetMemoryLimit(-1),
		GOGC:                os.Getenv("GOGC"),
		GODEBUG:             os.Getenv("GODEBUG"),
	}}}, nil
}

const (
	defaultStats = 10
	maxStats     = 10000
)

type headStats struct {
	NumSeries     uint64 `json:"numSeries"`
	NumLabelPairs uint64 `json:"numLabelPairs"`
	ChunkCount    uint64 `json:"chunkCount"`
	MinTime       int64  `json:"minTime"`
	MaxTime       int64  `json:"maxTime"`
}

type tsdbStatus struct {
	HeadStats      headStats `json:"headStats"`
	SeriesByMetric []count   `json:"seriesCountByMetricName"`
	ValuesByLabel  []count   `json:"labelValueCountByLabelName"`
	BytesByLabel   []count   `json:"memoryInBytesByLabelName"`
	SeriesByPair   []count   `json:"seriesCountByLabelValuePair"`
}

// tsdb answers status/tsdb, from which tools draw cardinality dashboards.
func (a *API) tsdb(r *http.Request) (result, error) {
	limit := defaultStats
	if s := r.FormValue("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return result{}, badRequest(errors.New("limit must be a positive number"))
		}
		if n > maxStats {
			return result{}, badRequest(fmt.Errorf("limit must not exceed %d", maxStats))
		}
		limit = n
	}
	// Prometheus' own bounds of a head without samples.
	s := store.Stats{MinMs: math.MaxInt64, MaxMs: math.MinInt64}
	if a.Stats != nil {
		var err error
		if s, err = a.Stats.Stats(r.Context(), tenant.FromContext(r.Context()), limit); err != nil {
			return result{}, a.storeError(r.Context(), err)
		}
	}
	return result{data: jsonData{tsdbStatus{
		HeadStats:      headStats{NumSeries: s.Series, NumLabelPairs: s.LabelPairs, MinTime: s.MinMs, MaxTime: s.MaxMs},
		SeriesByMetric: counts(s.SeriesByMetric, limit),
		ValuesByLabel:  counts(s.ValuesByLabel, limit),
		BytesByLabel:   counts(s.BytesByLabel, limit),
		SeriesByPair:   counts(s.SeriesByPair, limit),
	}}}, nil
}

// count is an entry of a list in the JSON answer.
type count struct {
	Name  string `json:"name"`
	Value uint64 `json:"value"`
}

func counts(cs []store.Count, limit int) []count {
	out := make([]count, 0, min(len(cs), limit))
	for _, c := range cs[:min(len(cs), limit)] {
		out = append(out, count(c))
	}
	return out
}
