package model

import (
	"strconv"

	"github.com/metricstream/metricstream/kafka"
	"github.com/metricstream/metricstream/kafka/record"
	"github.com/metricstream/metricstream/store"
)

// visible is what a reader sees: of each series that is listed for the day, give or take one, the value at each time.
func (t *tables) visible() map[point]float64 {
	days := map[store.Key]map[int64]bool{}
	for _, st := range t.steps {
		for _, s := range st.series {
			of := days[s.Key]
			if of == nil {
				of = map[int64]bool{}
				days[s.Key] = of
			}
			for d := dayOf(s.MinMs) - 1; d <= dayOf(s.MaxMs)+1; d++ {
				of[d] = true
			}
		}
	}
	all := map[point]float64{}
	for _, st := range t.steps {
		for _, r := range st.samples {
			if !days[r.key][dayOf(r.timeMs)] {
				continue
			}
			p, v := point{r.key, r.timeMs}, r.value.Float()
			if got, ok := all[p]; !ok || store.Prefer(got, v) {
				all[p] = v
			}
		}
	}
	return all
}

// listing is a row of the table of series.
type listing struct {
	tenant, labels    string
	key               store.Key
	firstDay, lastDay int64
}

// rows are the distinct rows of the tables, but for progress.
type rows struct {
	series  map[listing]bool
	samples map[row]bool
}

func newRows() rows { return rows{map[listing]bool{}, map[row]bool{}} }

// add adds the rows of inserts and reports whether one of them is new. Labels of the series whose samples are refused do not
// count: they are there where a batch was tried before it was refused.
func (d rows) add(steps []step) (added bool) {
	for _, st := range steps {
		for _, s := range st.series {
			if s.Key == population[poison].Key {
				continue
			}
			l := listing{s.Tenant, s.Labels.Get("instance"), s.Key, dayOf(s.MinMs), dayOf(s.MaxMs)}
			added = added || !d.series[l]
			d.series[l] = true
		}
		for _, r := range st.samples {
			added = added || !d.samples[r]
			d.samples[r] = true
		}
	}
	return added
}

// forgetBackupsFrom drops the backups of a state that is later than a number of steps: the steps beyond are others now.
func (t *tables) forgetBackupsFrom(steps int) {
	kept := t.backups[:0]
	for _, b := range t.backups {
		if b <= steps {
			kept = append(kept, b)
		}
	}
	t.backups = kept
}

// compareLetters tells which records should be dead letters and are not, and the other way round.
func (w *world) compareLetters() {
	type at struct {
		p      int32
		offset int64
	}
	letters := map[at]bool{}
	for _, m := range w.log.letters {
		var of at
		for _, h := range m.Headers {
			n, _ := strconv.ParseInt(string(h.Value), 10, 64)
			switch string(h.Key) {
			case kafka.HeaderPartition:
				of.p = int32(n)
			case kafka.HeaderOffset:
				of.offset = n
			}
		}
		letters[of] = true
	}
	var d record.Decoder
	for p := range w.log.parts {
		for _, m := range w.log.parts[p].records {
			var b store.Batch
			bad := d.Decode(&b, m.Value) != nil || refuses(&b)
			is := letters[at{int32(p), m.Offset}]
			if is && w.log.losses > 0 {
				continue // perhaps it is a letter of a topic that is lost
			}
			if bad != is {
				w.fail("partition %d, offset %d: bad is %v, a dead letter is %v", p, m.Offset, bad, is)
			}
		}
	}
}
