// Command metricstream is a Prometheus-compatible remote-write backend: receivers take samples over HTTP into a
// log, consumers write them into ClickHouse, queriers answer PromQL from there. One process does it all by default;
// the same code runs as separate roles on a cluster.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kingpin/v2"
	"github.com/metricstream/metricstream/cmd/metricstream/internal/bench"
	"github.com/metricstream/metricstream/store/clickhouse/engine"
	"github.com/prometheus/common/version"
)

func main() {
	// The engine's host is this program again; it has its own arguments, which are not a user's business.
	if len(os.Args) > 1 && os.Args[1] == engine.Subcommand {
		exit(engine.Host(os.Args[2:]))
	}
	app := kingpin.New("metricstream", help)
	app.Version(version.Print("metricstream"))
	app.HelpFlag.Short('h')
	app.UsageTemplate(kingpin.CompactUsageTemplate)

	runs := map[string]func(context.Context) error{}
	for _, r := range roles {
		cmd := app.Command(r.name, r.help)
		if r.name == "all" {
			cmd.Default()
		}
		flags := bindFlags(cmd)
		runs[r.name] = func(ctx context.Context) error { return run(ctx, r, flags) }
	}
	commands(app, runs)
	adminCommands(app, runs)
	piiCommands(app, runs)
	erasureCommands(app, runs)
	runBench := bench.Command(app)

	chosen := kingpin.MustParse(app.Parse(os.Args[1:]))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills at once
	if start, ok := runs[chosen]; ok {
		exit(start(ctx))
	}
	_, err := runBench(ctx, chosen, os.Stdout)
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "metricstream:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
