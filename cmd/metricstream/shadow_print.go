package main

import (
	"fmt"
	"time"

	"github.com/metricstream/metricstream/store/clickhouse"
)

// diffPrinter writes differences for people.
type diffPrinter struct {
	lines               int
	onlyLive, onlyShade uint64
}

const diffRow = "%-10s  %-10s  %12v  %12v  %12v  %8v\n"

func (p *diffPrinter) print(differences []clickhouse.Difference) {
	for _, d := range differences {
		if p.lines == 0 {
			fmt.Printf(diffRow, "DAY", "TABLE", "ONLY LIVE", "ONLY SHADOW", "BOTH", "SERIES")
		}
		p.lines++
		p.onlyLive += d.OnlyLive
		p.onlyShade += d.OnlyShadow
		fmt.Printf(diffRow, d.Day, d.Table, d.OnlyLive, d.OnlyShadow, d.Both, d.Series)
		for _, e := range d.Examples {
			printExample(e)
		}
	}
}

func printExample(e clickhouse.SeriesDifference) {
	name := e.Labels.String()
	if e.Labels.IsEmpty() {
		name = fmt.Sprintf("labels unknown, metric %d, id %d", e.Key.Metric, e.Key.ID)
	}
	fmt.Printf("    %s of tenant %q: %d rows only live, %d only in the shadow\n", name, e.Tenant, e.OnlyLive, e.OnlyShadow)
	for _, r := range e.Rows {
		side := "only shadow"
		if r.Live {
			side = "only live  "
		}
		fmt.Printf("        %s  %s  %s\n", side, time.UnixMilli(r.TimeMs).UTC().Format("2006-01-02T15:04:05.000Z"), r.Text)
	}
}

// end says what the whole comes to.
func (p *diffPrinter) end(sets clickhouse.LabelSets) {
	fmt.Printf("%d rows are only live, %d only in the shadow. The label sets of %d series are only in the shadow; a swap adds them.\n", p.onlyLive, p.onlyShade, sets.OnlyShadow)
	if sets.Missing > 0 {
		fmt.Printf("Nobody knows the labels of %d series: the shadow should begin an hour (kafka.announce_interval) earlier.\n", sets.Missing)
	}
}

func printSpans(spans []clickhouse.ShadowSpan, completeMs int64, incomplete error) {
	fmt.Printf("The shadow holds %s.", showSpans(spans))
	if incomplete != nil {
		fmt.Printf(" No day of it is complete: %v.\n", incomplete)
		return
	}
	fmt.Printf(" From %s on it has every sample, as far as it has read the log.\n", firstComplete(completeMs))
}

// firstComplete is the first whole day behind a time.
func firstComplete(completeMs int64) string {
	day := clickhouse.DayOf(completeMs)
	if day.MinMs() < completeMs {
		day++
	}
	return day.String()
}
