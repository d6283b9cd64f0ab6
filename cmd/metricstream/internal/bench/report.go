package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

// WriteReport is the summary of [RunWrite].
type WriteReport struct {
	URL        string  `json:"url"`
	Protocol   string  `json:"protocol"`
	Series     int     `json:"series"`
	Seed       uint64  `json:"seed"`
	IntervalMs int64   `json:"interval_ms"`
	Shards     int     `json:"shards"`
	Rate       float64 `json:"intended_samples_per_second,omitempty"` // 0: flat out

	// FirstMs and LastMs bound the timestamps that were sent; up to CompleteMs every series has all samples.
	// FirstMs is the first of the earliest run when runs follow each other.
	FirstMs    int64 `json:"first_ms"`
	LastMs     int64 `json:"last_ms"`
	CompleteMs int64 `json:"complete_ms"`
	// NextMs is the first timestamp of a run that continues this one.
	NextMs int64 `json:"next_ms"`

	Seconds          float64        `json:"seconds"` // from the first request to the last answer
	AckedSamples     int64          `json:"acked_samples"`
	SamplesPerSecond float64        `json:"samples_per_second"`
	RefusedSamples   int64          `json:"refused_samples"` // answered with a status that is not retried
	UnackedSamples   int64          `json:"unacked_samples"` // still retried at the end
	Requests         int64          `json:"requests"`
	Retries          int64          `json:"retries"`
	Errors           map[string]int `json:"errors,omitempty"`
	WireBytes        int64          `json:"wire_bytes"`
	RawBytes         int64          `json:"raw_bytes"` // before snappy
	ReachedPresent   bool           `json:"reached_present,omitempty"`

	// Ack is the time until a request was acknowledged, retries included. At a rate it counts from the moment
	// when the request was meant to leave, flat out from the first attempt.
	Ack     Latency      `json:"ack"`
	Visible *ProbeReport `json:"visible,omitempty"`

	Generator     GeneratorCost `json:"generator"`
	Target        TargetCost    `json:"target"`
	SamplesOnDisk int64         `json:"samples_on_disk"` // acked by this run and those before it
}

// ProbeReport is the time from ack to visible.
type ProbeReport struct {
	Latency
	Unseen  int `json:"unseen"`  // acknowledged, not visible when the run ended
	Failed  int `json:"failed"`  // not acknowledged
	Queries int `json:"queries"` // asked to find out
	// NewSeriesMs is what the very first sample of a new series took.
	NewSeriesMs float64 `json:"new_series_ms"`
}

// GeneratorCost is the CPU time of the load tool itself.
type GeneratorCost struct {
	CPUSeconds           float64 `json:"cpu_seconds"` // everything: requests, HTTP, probe
	CPUSecondsPerMillion float64 `json:"cpu_seconds_per_million"`
	BuildPerMillion      float64 `json:"build_cpu_seconds_per_million"` // values, encoding and snappy alone
	buildCPU             time.Duration
}

func (g *GeneratorCost) perMillion(samples int64) {
	if samples > 0 {
		g.CPUSecondsPerMillion = g.CPUSeconds / float64(samples) * 1e6
		g.BuildPerMillion = g.buildCPU.Seconds() / float64(samples) * 1e6
	}
}

// TargetCost is what the target used.
type TargetCost struct {
	PIDs          []int `json:"pids,omitempty"`
	PeakRSSBytes  int64 `json:"peak_rss_bytes"`
	PeakAnonBytes int64 `json:"peak_anon_bytes"`
	AtEnd         Cost  `json:"at_end"`
	Settled       *Cost `json:"settled,omitempty"`
}

// Cost is one reading of the target. CPU counts from the start of the run.
type Cost struct {
	Usage
	CPUSecondsPerMillion float64  `json:"cpu_seconds_per_million"`
	Disk                 *DiskUse `json:"disk,omitempty"`
	BytesPerSample       float64  `json:"bytes_per_sample,omitempty"`
}

func (w *writer) report(took time.Duration, tallies []tally, p *probe) *WriteReport {
	r := &WriteReport{
		URL: w.o.URL, Protocol: w.o.Protocol, Series: w.o.Series, Seed: w.o.Seed, IntervalMs: w.o.Interval.Milliseconds(),
		Shards: w.o.Shards, Rate: w.o.Rate, FirstMs: w.line.baseMs, LastMs: w.latestMs.Load(), CompleteMs: math.MaxInt64,
		Seconds: took.Seconds(), Errors: w.errors,
	}
	var latencies []time.Duration
	for i := range tallies {
		t := &tallies[i]
		r.AckedSamples += t.acked
		r.RefusedSamples += t.refused
		r.UnackedSamples += t.unacked
		r.Requests += t.requests
		r.Retries += t.retries
		r.WireBytes += t.wireBytes
		r.RawBytes += t.rawBytes
		r.ReachedPresent = r.ReachedPresent || t.reachedPresent
		r.CompleteMs = min(r.CompleteMs, t.completeMs)
		r.Generator.buildCPU += t.buildCPU
		latencies = append(latencies, t.latencies...)
	}
	r.NextMs = w.line.at(w.convoy.sentBefore(), 0)
	r.CompleteMs = max(r.FirstMs, r.CompleteMs-r.IntervalMs)
	r.SamplesPerSecond = float64(r.AckedSamples) / r.Seconds
	r.Ack = newLatency(latencies)
	r.SamplesOnDisk = r.AckedSamples
	if w.after != nil {
		r.FirstMs = w.after.FirstMs
		r.SamplesOnDisk += w.after.SamplesOnDisk
	}
	if p != nil {
		r.Visible = &ProbeReport{newLatency(p.lags), p.unseen, p.failed, p.queries, ms(p.newSeries)}
	}
	return r
}

func (r *WriteReport) print(out io.Writer) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(out, "%-22s %s\n", name, fmt.Sprintf(format, args...))
	}
	pace := "flat out"
	if r.Rate > 0 {
		pace = fmt.Sprintf("intended %.0f/s", r.Rate)
	}
	line("target", "%s, remote write %s, %d series, %d shards, %s", r.URL, r.Protocol, r.Series, r.Shards, pace)
	line("acked", "%.0f samples/s (%d samples in %.1f s, %d requests, %.1f bytes/sample sent)",
		r.SamplesPerSecond, r.AckedSamples, r.Seconds, r.Requests, float64(r.WireBytes)/float64(max(1, r.AckedSamples)))
	line("ack latency", "p50 %.1f ms, p99 %.1f ms, max %.1f ms", r.Ack.P50, r.Ack.P99, r.Ack.Max)
	if v := r.Visible; v != nil {
		line("ack to visible", "p50 %.0f ms, p99 %.0f ms, max %.0f ms (%d probes, %d never seen, %d not acked), a new series %.0f ms", v.P50, v.P99, v.Max, v.Count, v.Unseen, v.Failed, v.NewSeriesMs)
	}
	line("errors", "%d samples refused, %d not acked, %d retries", r.RefusedSamples, r.UnackedSamples, r.Retries)
	for _, text := range sortedKeys(r.Errors) {
		line("", "%d x %s", r.Errors[text], text)
	}
	if r.ReachedPresent {
		line("", "stopped early: timestamps reached now; use more --series")
	}
	line("generator", "%.3f CPU s per million samples, %.3f of it to build requests", r.Generator.CPUSecondsPerMillion, r.Generator.BuildPerMillion)
	r.Target.AtEnd.print(line, "target at end")
	if r.Target.Settled != nil {
		r.Target.Settled.print(line, "target settled")
	}
	if r.Target.PeakRSSBytes > 0 {
		line("target peak memory", "%.0f MB RSS, %.0f MB of it anonymous", mb(r.Target.PeakRSSBytes), mb(r.Target.PeakAnonBytes))
	}
	line("timestamps", "%s to %s", formatMs(r.FirstMs), formatMs(r.LastMs))
}

func (c *Cost) print(line func(string, string, ...any), name string) {
	if c.Processes > 0 {
		line(name, "%.3f CPU s per million samples (%.2f s), RSS %.0f MB (anonymous %.0f MB), %d processes",
			c.CPUSecondsPerMillion, c.CPUSeconds, mb(c.RSSBytes), mb(c.AnonBytes), c.Processes)
	}
	if c.Disk == nil {
		return
	}
	var parts []string
	for _, k := range sortedKeys(c.Disk.Parts) {
		parts = append(parts, fmt.Sprintf("%s %.1f", k, mb(c.Disk.Parts[k])))
	}
	line(name+" disk", "%.2f bytes/sample, %.1f MB (%s)", c.BytesPerSample, mb(c.Disk.Bytes), strings.Join(parts, ", "))
}

func mb(bytes int64) float64 { return float64(bytes) / 1e6 }

func formatMs(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func readWriteReport(file string) (*WriteReport, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read summary of earlier run: %w", err)
	}
	var r WriteReport
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("cannot read summary of earlier run %s: %w", file, err)
	}
	if r.Series == 0 || r.NextMs == 0 {
		return nil, fmt.Errorf("cannot use %s: it is not a summary of \"bench write\" that wrote samples", file)
	}
	return &r, nil
}

// writeJSON writes the report to a file; no file is fine.
func writeJSON(file string, report any) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot encode summary: %w", err)
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("cannot write summary: %w", err)
	}
	return nil
}
