package clickhouse

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/store/clickhouse/sqlgen"
)

var _ store.ChangeReader = (*Store)(nil)

// maxChangeRows is how many changes of one batch are told apart. What is beyond is told of longer times, and if that is
// still too much, of all series.
const maxChangeRows = 2000

// foreverHour is later than every sample.
const foreverHour = math.MaxInt32

type metricHour struct {
	metric uint32
	hour   int32
}

// lateHours collects which hours of which metrics were written late.
type lateHours struct {
	before int64 // what is not later than this is late
	hours  map[metricHour]struct{}
	last   metricHour
}

func (l *lateHours) add(metric uint32, timeMs int64) {
	if timeMs > l.before {
		return
	}
	one := metricHour{metric, store.ChangeHour(timeMs)}
	if one == l.last {
		return
	}
	if l.hours == nil {
		l.hours = map[metricHour]struct{}{}
	}
	l.hours[one] = struct{}{}
	l.last = one
}

// findChanges returns the changes that a batch makes whose rows are written, nil where nothing of it is late, which is
// nearly always. nowMs is the wall clock after they were written: who has not seen them looked before.
func findChanges(b *store.Batch, nowMs int64) []store.Change {
	l := lateHours{before: nowMs - store.LateAfterMs, last: metricHour{hour: math.MinInt32}}
	for i, t := range b.Samples.TimesMs {
		if t <= l.before {
			l.add(b.Samples.Metrics[i], t)
		}
	}
	for i := range b.Histograms {
		l.add(b.Histograms[i].Key.Metric, b.Histograms[i].TimeMs)
	}
	out := l.changes()
	// A start timestamp holds until another one does.
	starts := map[uint32]int32{}
	for _, s := range b.Starts {
		if s.TimeMs > l.before {
			continue
		}
		hour, known := starts[s.Key.Metric]
		if h := store.ChangeHour(s.TimeMs); !known || h < hour {
			starts[s.Key.Metric] = h
		}
	}
	for metric, hour := range starts {
		out = append(out, store.Change{Metric: metric, FromHour: hour, ToHour: foreverHour})
	}
	return out
}

// changes returns what was collected, in not too many changes.
func (l *lateHours) changes() []store.Change {
	if len(l.hours) == 0 {
		return nil
	}
	byMetric := map[uint32]store.Change{}
	all := store.Change{Metric: store.EverySeries, FromHour: math.MaxInt32, ToHour: math.MinInt32}
	out := make([]store.Change, 0, min(len(l.hours), maxChangeRows))
	for h := range l.hours {
		c, ok := byMetric[h.metric]
		if !ok {
			c = store.Change{Metric: h.metric, FromHour: h.hour, ToHour: h.hour}
		}
		c.FromHour, c.ToHour = min(c.FromHour, h.hour), max(c.ToHour, h.hour)
		byMetric[h.metric] = c
		all.FromHour, all.ToHour = min(all.FromHour, h.hour), max(all.ToHour, h.hour)
		if len(l.hours) <= maxChangeRows {
			out = append(out, store.Change{Metric: h.metric, FromHour: h.hour, ToHour: h.hour})
		}
	}
	switch {
	case len(l.hours) <= maxChangeRows:
		return out
	case len(byMetric) <= maxChangeRows:
		for _, c := range byMetric {
			out = append(out, c)
		}
		return out
	}
	return []store.Change{all}
}

// writeChanges tells of the batch's late rows, which are written. A batch without late rows costs no statement.
func (s *Store) writeChanges(ctx context.Context, b *store.Batch) error {
	return s.WriteChanges(ctx, findChanges(b, time.Now().UnixMilli()))
}

// WriteChanges makes everybody forget what was computed of these times. It comes after the rows have changed; a change whose
// Token is 0 gets one. When it returns nil, every call of Changes that begins later sees them.
func (s *Store) WriteChanges(ctx context.Context, changes []store.Change) error {
	if len(changes) == 0 {
		return nil
	}
	var metrics proto.ColUInt32
	var froms, tos proto.ColInt32
	var tokens proto.ColUInt64
	for _, c := range changes {
		if c.Token == 0 {
			c.Token = rand.Uint64() | 1
		}
		metrics.Append(c.Metric)
		froms.Append(c.FromHour)
		tos.Append(c.ToHour)
		tokens.Append(c.Token)
	}
	return s.insert(ctx, "changes", proto.Input{
		{Name: "metric", Data: &metrics}, {Name: "from_hour", Data: &froms}, {Name: "to_hour", Data: &tos}, {Name: "token", Data: &tokens},
	})
}

// ForgetAnswers makes everybody forget what was computed of a tenant's series.
func (s *Store) ForgetAnswers(ctx context.Context, tenant string) error {
	return s.WriteChanges(ctx, []store.Change{{Metric: store.MetricOf(tenant, ""), FromHour: math.MinInt32, ToHour: foreverHour}})
}

// changesFrom is the change of every series from a time on.
func changesFrom(fromMs int64) []store.Change {
	return []store.Change{{Metric: store.EverySeries, FromHour: store.ChangeHour(fromMs), ToHour: foreverHour}}
}

// Changes returns what has changed; see [store.ChangeReader].
func (s *Store) Changes(ctx context.Context, metrics []uint32, fromMs, toMs int64) (store.Changes, error) {
	var froms, tos proto.ColInt32
	var tokens proto.ColUInt64
	q := ch.Query{Result: proto.Results{
		{Name: "from_hour", Data: &froms}, {Name: "to_hour", Data: &tos}, {Name: "token", Data: &tokens},
	}}
	st := sqlgen.Statement{Text: changesStatement(metrics, fromMs, toMs), Small: true}
	var out store.Changes
	err := s.query(ctx, "changes", st, q, func(rows int) error {
		for i := range rows {
			out = append(out, store.ChangeSum{FromHour: froms[i], ToHour: tos[i], Token: tokens[i]})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read what has changed: %w", err)
	}
	return out, nil
}

// changesStatement has numbers only, so nothing in it needs to be a parameter.
func changesStatement(metrics []uint32, fromMs, toMs int64) string {
	b := []byte("SELECT from_hour, to_hour, sumWithOverflow(token) AS token FROM changes WHERE from_hour <= ")
	b = strconv.AppendInt(b, int64(store.ChangeHour(toMs)), 10)
	b = append(b, " AND to_hour >= "...)
	b = strconv.AppendInt(b, int64(store.ChangeHour(fromMs)), 10)
	if metrics != nil {
		b = append(b, " AND metric IN ("...)
		for i, m := range metrics {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = strconv.AppendUint(b, uint64(m), 10)
		}
		b = append(b, ')')
	}
	return string(append(b, " GROUP BY from_hour, to_hour"...))
}
