package storetest

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/metricstream/metricstream/store"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
)

// dump writes series as text, a line each, sorted: the labels, then the points as time=value, and time=value@start
// where a start timestamp is in force. Values are told apart by their bits.
func dump(list []*store.SeriesData) string {
	lines := make([]string, 0, len(list))
	for _, d := range list {
		lines = append(lines, dumpSeries(d))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func dumpSeries(d *store.SeriesData) string {
	type point struct {
		timeMs int64
		text   string
	}
	var points []point
	for i, t := range d.TimesMs {
		points = append(points, point{t, formatValue(d.Values[i])})
	}
	for _, h := range d.Histograms {
		points = append(points, point{h.TimeMs, formatHistogram(h)})
	}
	// A store has to return both columns in order; only their merge is done here.
	slices.SortStableFunc(points, func(a, b point) int {
		switch {
		case a.timeMs < b.timeMs:
			return -1
		case a.timeMs > b.timeMs:
			return 1
		}
		return 0
	})
	var b strings.Builder
	b.WriteString(d.Labels.String())
	for _, p := range points {
		fmt.Fprintf(&b, " %d=%s", p.timeMs, p.text)
		if start := startAt(d.Starts, p.timeMs); start != 0 {
			fmt.Fprintf(&b, "@%d", start)
		}
	}
	for i, t := range d.TimesMs {
		if i > 0 && d.TimesMs[i-1] >= t {
			fmt.Fprintf(&b, " FLOATS OUT OF ORDER AT %d", t)
		}
	}
	for i, h := range d.Histograms {
		if i > 0 && d.Histograms[i-1].TimeMs >= h.TimeMs {
			fmt.Fprintf(&b, " HISTOGRAMS OUT OF ORDER AT %d", h.TimeMs)
		}
	}
	return b.String()
}

func startAt(starts []store.StartPoint, timeMs int64) int64 {
	start := int64(0)
	for _, s := range starts {
		if s.TimeMs <= timeMs {
			start = s.StartMs
		}
	}
	return start
}

func formatValue(v float64) string {
	switch {
	case value.IsStaleNaN(v):
		return "stale"
	case math.IsNaN(v):
		return fmt.Sprintf("NaN:%016x", math.Float64bits(v))
	case v == 0 && math.Signbit(v):
		return "-0"
	}
	return fmt.Sprint(v)
}

func formatHistogram(p store.HistogramPoint) string {
	if p.Int != nil {
		return formatInt(p.Int)
	}
	return formatFloat(p.Float)
}

func formatInt(h *histogram.Histogram) string {
	return fmt.Sprintf("int:%x", store.AppendHistogram(nil, h))
}

func formatFloat(h *histogram.FloatHistogram) string {
	return fmt.Sprintf("float:%x", store.AppendFloatHistogram(nil, h))
}
