// Package bench owns the load tool: it writes realistic series to any Prometheus remote-write endpoint, asks any
// Prometheus-compatible API queries over them, and reports throughput, latencies and what the target spent. It
// knows its targets only by URL and process id; what is measured is left to the caller to compare.
//
// The generator shares the machine with its target, so it is built to be cheap: label sets are encoded once,
// requests are built by appending bytes, and its own CPU time is part of every report.
package bench

import (
	"context"
	"fmt"
	"io"

	"github.com/alecthomas/kingpin/v2"
)

// Command adds "bench write", "bench query" and "bench table" to app. The returned function runs the command that
// app.Parse selected, and says by handled whether it was one of these.
func Command(app *kingpin.Application) (run func(ctx context.Context, selected string, out io.Writer) (handled bool, err error)) {
	parent := app.Command("bench", "Measure a Prometheus-compatible backend: write realistic series to it, query them.")
	writeCmd := parent.Command("write", "Write realistic series by remote write and report throughput, latencies and cost.")
	writeOptions := BindWrite(writeCmd)
	queryCmd := parent.Command("query", "Query the series of an earlier \"bench write\" and report latencies.")
	queryOptions := BindQuery(queryCmd)
	tableCmd := parent.Command("table", "Print a Markdown table over the summaries of several targets.")
	folders := tableCmd.Arg("folder", "Folder named after its target, with flat.json, paced.json and query.json.").Required().ExistingDirs()
	return func(ctx context.Context, selected string, out io.Writer) (bool, error) {
		switch selected {
		case writeCmd.FullCommand():
			_, err := RunWrite(ctx, *writeOptions, out)
			return true, err
		case queryCmd.FullCommand():
			_, err := RunQuery(ctx, *queryOptions, out)
			return true, err
		case tableCmd.FullCommand():
			return true, RunTable(*folders, out)
		}
		return false, nil
	}
}

// BindWrite adds the flags of [WriteOptions] to cmd. The result is filled when the command line is parsed.
func BindWrite(cmd *kingpin.CmdClause) *WriteOptions {
	o := DefaultWriteOptions()
	o.QueryParams, o.Headers = map[string]string{}, map[string]string{}
	cmd.Flag("url", "Remote-write URL.").Default(o.URL).StringVar(&o.URL)
	cmd.Flag("query-url", "Base URL of the Prometheus API for the visibility probe; empty: scheme and host of --url. \"none\": no probe.").StringVar(&o.QueryURL)
	cmd.Flag("query-param", "Parameter added to every query, name=value. Repeatable.").StringMapVar(&o.QueryParams)
	cmd.Flag("header", "HTTP header added to every request, name=value. Repeatable.").StringMapVar(&o.Headers)
	cmd.Flag("key-file", "File with an API key for every request.").StringVar(&o.KeyFile)
	cmd.Flag("protocol", "Remote write version.").Default(o.Protocol).EnumVar(&o.Protocol, Protocol1, Protocol2)
	cmd.Flag("series", "Number of series.").Default(fmt.Sprint(o.Series)).IntVar(&o.Series)
	cmd.Flag("seed", "Seed of labels and values; the same seed gives the same data.").Default(fmt.Sprint(o.Seed)).Uint64Var(&o.Seed)
	cmd.Flag("interval", "Scrape interval: the step between a series' timestamps.").Default(o.Interval.String()).DurationVar(&o.Interval)
	cmd.Flag("rate", "Samples per second; ack latency then counts from when a request was meant to leave, so that waiting behind a stall counts. 0: as fast as the target acknowledges.").Default("0").Float64Var(&o.Rate)
	cmd.Flag("duration", "How long to write.").Default(o.Duration.String()).DurationVar(&o.Duration)
	cmd.Flag("shards", "Requests in flight. A series is always in the same shard, a shard sends one request at a time.").Default(fmt.Sprint(o.Shards)).IntVar(&o.Shards)
	cmd.Flag("samples-per-request", "Samples in a request.").Default(fmt.Sprint(o.SamplesPerRequest)).IntVar(&o.SamplesPerRequest)
	cmd.Flag("start", "First timestamp: \"auto\" (far enough in the past that the run ends before now), \"now\" (real time: --rate becomes series/interval), a duration ago such as 6h, Unix seconds, or RFC 3339.").Default(o.Start).StringVar(&o.Start)
	cmd.Flag("start-after", "Summary (--json) of an earlier run on the same target: begin after its last timestamp, and count its samples in bytes per sample.").StringVar(&o.StartAfter)
	cmd.Flag("probe-interval", "How often a probe sample is written to measure when it can be queried.").Default(o.ProbeInterval.String()).DurationVar(&o.ProbeInterval)
	cmd.Flag("probe-poll", "How often a probe that is not yet visible is queried.").Default(o.ProbePoll.String()).DurationVar(&o.ProbePoll)
	cmd.Flag("pid", "Process whose tree is the target. Repeatable. Default: who listens on the port of --url, when that is on this machine.").IntsVar(&o.PIDs)
	cmd.Flag("disk", "Folder whose size is the target's. Repeatable.").StringsVar(&o.Disks)
	cmd.Flag("settle", "How long to wait for merges after the run before size and CPU are read again.").Default(o.Settle.String()).DurationVar(&o.Settle)
	cmd.Flag("json", "File that receives the summary as JSON.").StringVar(&o.JSONFile)
	return &o
}

// BindQuery adds the flags of [QueryOptions] to cmd. The result is filled when the command line is parsed.
func BindQuery(cmd *kingpin.CmdClause) *QueryOptions {
	o := DefaultQueryOptions()
	o.QueryParams, o.Headers = map[string]string{}, map[string]string{}
	cmd.Flag("url", "Base URL of the Prometheus API.").Default(o.URL).StringVar(&o.URL)
	cmd.Flag("written", "Summary (--json) of the \"bench write\" whose series are queried.").Required().StringVar(&o.Written)
	cmd.Flag("query-param", "Parameter added to every query, name=value. Repeatable.").StringMapVar(&o.QueryParams)
	cmd.Flag("header", "HTTP header added to every request, name=value. Repeatable.").StringMapVar(&o.Headers)
	cmd.Flag("key-file", "File with an API key for every request.").StringVar(&o.KeyFile)
	cmd.Flag("concurrency", "Queries in flight in the second pass; the first pass has one.").Default(fmt.Sprint(o.Concurrency)).IntVar(&o.Concurrency)
	cmd.Flag("time-per-query", "How long each kind of query is repeated in each pass.").Default(o.TimePerQuery.String()).DurationVar(&o.TimePerQuery)
	cmd.Flag("max-per-query", "At most so many of each kind of query in each pass.").Default(fmt.Sprint(o.MaxPerQuery)).IntVar(&o.MaxPerQuery)
	cmd.Flag("range", "Length of the range queries; shortened to what was written.").Default(o.Range.String()).DurationVar(&o.Range)
	cmd.Flag("step", "Step of the range queries.").Default(o.Step.String()).DurationVar(&o.Step)
	cmd.Flag("json", "File that receives the summary as JSON.").StringVar(&o.JSONFile)
	return &o
}
