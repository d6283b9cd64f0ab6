package kafka

import (
	"sync"
	"time"

	"github.com/metricstream/metricstream/store"
)

const dayMs = 24 * 60 * 60 * 1000

// announcements remembers which label sets this process has put into which partition, so that they need not
// travel with every sample. It has a part for each partition.
type announcements struct {
	interval time.Duration
	parts    []announced
}

// announced has two generations: when the young one is full the old one goes, with all series in it that were
// not looked up since.
type announced struct {
	mu         sync.Mutex
	max        int
	young, old map[store.Key]announcement
}

// announcement says for which days, when, and as having what a label set was sent.
type announcement struct {
	minDay, maxDay int32
	at             int64 // Unix seconds
	has            store.Has
}

func newAnnouncements(partitions, maxSeries int, interval time.Duration) *announcements {
	a := &announcements{interval: interval, parts: make([]announced, partitions)}
	for i := range a.parts {
		a.parts[i].max = max(1, maxSeries/partitions/2)
		a.parts[i].young = make(map[store.Key]announcement)
	}
	return a
}

// due keeps in series, in place, those that have to be sent to the partition at the time.
func (a *announcements) due(partition int, series []store.Series, now time.Time) []store.Series {
	part := &a.parts[partition]
	part.mu.Lock()
	defer part.mu.Unlock()
	due := series[:0]
	for i := range series {
		s := &series[i]
		known, ok := part.find(s.Key)
		if !ok || now.Unix()-known.at >= a.lifetime(s.Key) || day(s.MinMs) < known.minDay || day(s.MaxMs) > known.maxDay || s.Has&^known.has != 0 {
			due = append(due, *s)
		}
	}
	clear(series[len(due):])
	return due
}

// lifetime returns for how many seconds an announcement of the series holds. Series differ by up to a quarter,
// so that not all of a process are due again at the same moment.
func (a *announcements) lifetime(k store.Key) int64 {
	seconds := int64(a.interval / time.Second)
	return seconds - int64(k.ID>>32%1024)*seconds/4/1024
}

// sent remembers that the series have reached the partition.
func (a *announcements) sent(partition int, series []store.Series, now time.Time) {
	part := &a.parts[partition]
	part.mu.Lock()
	defer part.mu.Unlock()
	for i := range series {
		s := &series[i]
		n := announcement{minDay: day(s.MinMs), maxDay: day(s.MaxMs), at: now.Unix(), has: s.Has}
		if known, ok := part.find(s.Key); ok {
			n.has |= known.has
			if n.minDay <= known.maxDay+1 && n.maxDay >= known.minDay-1 {
				n.minDay, n.maxDay = min(n.minDay, known.minDay), max(n.maxDay, known.maxDay)
			}
		}
		part.put(s.Key, n)
	}
}

// count returns the number of series that are remembered.
func (a *announcements) count() int {
	n := 0
	for i := range a.parts {
		part := &a.parts[i]
		part.mu.Lock()
		n += len(part.young) + len(part.old)
		part.mu.Unlock()
	}
	return n
}

func (p *announced) find(k store.Key) (announcement, bool) {
	if n, ok := p.young[k]; ok {
		return n, true
	}
	n, ok := p.old[k]
	if ok {
		delete(p.old, k)
		p.put(k, n)
	}
	return n, ok
}

func (p *announced) put(k store.Key, n announcement) {
	if len(p.young) >= p.max {
		p.old, p.young = p.young, make(map[store.Key]announcement)
	}
	p.young[k] = n
}

func day(ms int64) int32 {
	if ms < 0 {
		ms -= dayMs - 1
	}
	return int32(ms / dayMs)
}
