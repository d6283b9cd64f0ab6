package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/metricstream/metricstream/tenant/admin"
	"github.com/metricstream/metricstream/tenant/db"
)

// erasureCommands adds `metricstream erase` and `metricstream tenant delete`.
func erasureCommands(app *kingpin.Application, runs map[string]func(context.Context) error) {
	add := func(cmd *kingpin.CmdClause, run func(context.Context, *adminClient) error) {
		c := &adminClient{}
		c.bind(cmd)
		runs[cmd.FullCommand()] = func(ctx context.Context) error { return run(ctx, c) }
	}
	erase := app.Command("erase", "Erase series, all of their time or a part of it, from the tables, and from what is read from the log again.")
	var body admin.NewErasure
	var wait bool
	erase.Flag("match", `A selector of series, such as up{job="x"}; repeated, each chooses some.`).Required().StringsVar(&body.Selectors)
	erase.Flag("tenant", "Whose series. Default: those of the tenant of the key which asks.").StringVar(&body.Tenant)
	erase.Flag("from", "The first time, RFC 3339 or Unix seconds. Default: all from the first.").StringVar(&body.Start)
	erase.Flag("to", "The last time, RFC 3339 or Unix seconds. Default: all up to the last.").StringVar(&body.End)
	erase.Flag("reason", "Why; it is kept with the report and in the audit log.").Required().StringVar(&body.Reason)
	erase.Flag("wait", "Show the progress until it is done, and the report.").BoolVar(&wait)
	add(erase, func(ctx context.Context, c *adminClient) error {
		var e db.Erasure
		if err := c.ask(ctx, http.MethodPost, "/erasures", body, &e); err != nil {
			return err
		}
		return c.follow(ctx, e, wait)
	})

	remove := app.GetCommand("tenant").Command("delete", "Delete a tenant with all of its data, keys and users. It is disabled at once.")
	id := remove.Arg("name", "The tenant.").Required().String()
	yes := remove.Flag("yes", "Yes, all of it.").Bool()
	remove.Flag("wait", "Show the progress until it is done, and the report.").BoolVar(&wait)
	add(remove, func(ctx context.Context, c *adminClient) error {
		if !*yes {
			return fmt.Errorf("this deletes all data of the tenant %q for ever: add --yes", *id)
		}
		var e db.Erasure
		if err := c.ask(ctx, http.MethodDelete, "/tenants/"+url.PathEscape(*id), nil, &e); err != nil {
			return err
		}
		return c.follow(ctx, e, wait)
	})
}

// follow prints the id of an erasure, and, where it is to wait, its progress and its report.
func (c *adminClient) follow(ctx context.Context, e db.Erasure, wait bool) error {
	fmt.Printf("erasure %s of tenant %s\n", e.ID, e.Tenant)
	last := ""
	for wait && e.Unfinished() {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := c.ask(ctx, http.MethodGet, "/erasures/"+e.ID, nil, &e); err != nil {
			return err
		}
		if now := e.State + "  " + e.Progress; now != last {
			last = now
			fmt.Println(now)
		}
	}
	if e.State == db.ErasureFailed {
		return fmt.Errorf("the erasure cannot be done: %s", e.Failure)
	}
	if e.State != db.ErasureDone {
		return nil
	}
	fmt.Printf("%d series, of %d of them nothing is left\n", e.Report.Series, e.Report.Gone)
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "TABLE\tROWS BEFORE\tROWS AFTER")
	for _, t := range e.Report.Tables {
		fmt.Fprintf(out, "%s\t%d\t%d\n", t.Table, t.Before, t.After)
	}
	return out.Flush()
}
