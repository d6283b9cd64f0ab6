package codec

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/metricstream/metricstream/pii"
	"github.com/metricstream/metricstream/store"
	"github.com/metricstream/metricstream/tenant/limits"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
)

// Request is one decoded request and the memory that decoding it took, to be used again for the next: a pool of
// them makes decoding free of allocations.
type Request struct {
	// Batch is what is to be written: each series of it once, with the time that it has points of.
	Batch store.Batch

	// Accepted counts what is in the batch.
	Accepted Counts

	// Judge decides whether what a replica of a pair sent is a duplicate. It is asked once for each run of series
	// with the same pair; an error of it is Decode's. It has to be set where the decoder has [PairLabels].
	Judge func(Pair) (duplicate bool, err error)

	// Caps are the request's own limits.
	Caps Caps

	// Admit decides whether a series that is not remembered may be taken, and if not, why, and by which limit; nil is that
	// all may. It is asked at most once for each TimeSeries message.
	Admit func(store.Key) (why Reason, limit limits.Bound, ok bool)

	// Privacy says what is done with personal data before anything else sees it. What it says of a label set is remembered with
	// the series; another policy looks again.
	Privacy pii.Policy

	// Found counts what personal data was found in label sets that were not known, in exemplars and in metadata.
	Found map[Found]int

	// Dropped counts what is in neither because of the Caps, without being wrong.
	Dropped Counts

	// Duplicates counts what is not in the batch because another replica of the same pair sends it.
	Duplicates Counts

	// Rejected is what is not, and why.
	Rejected Rejected

	decoder *Decoder
	tenant  string
	seed    uint64
	nowMs   int64
	// oldestMs is the first time that is not too old.
	oldestMs int64
	points   int
	capped   bool
	bounds   bounds
	shape    shape // what the bounds allow

	slots []slot  // beside Batch.Series
	index []int32 // open-addressed: a series' hash to its slot + 1
	blobs []byte  // the histograms' encodings

	labels  []label
	raw     []byte
	builder labels.ScratchBuilder
	ints    histogram.Histogram
	floats  histogram.FloatHistogram
	parts   histogramParts

	symbols  []symbol
	refs     []uint32
	metadata map[uint64]struct{} // hashes of what is in Batch.Metadata
	judged   judgement
}

// Counts are numbers of points.
type Counts struct{ Samples, Histograms, Exemplars, Metadata int }

// slot is what a request knows of one of its series beside what its batch says.
type slot struct {
	series   *series
	decimals uint8
	starts   startState
	metadata uint64
}

func (r *Request) reset(d *Decoder, v Version, tenant string, nowMs int64) {
	r.Batch.Reset()
	r.Accepted, r.Dropped, r.Duplicates, r.judged = Counts{}, Counts{}, Counts{}, judgement{}
	r.Rejected.reset()
	r.decoder, r.tenant, r.nowMs, r.points = d, tenant, nowMs, 0
	r.capLabels()
	r.oldestMs = 0
	if d.limits.AgeMs > 0 {
		r.oldestMs = max(0, nowMs-d.limits.AgeMs)
	}
	r.seed = d.cache.tenantSeed(tenant, v) ^ r.Privacy.Fingerprint()
	if len(r.Found) > maxKeptFound {
		r.Found = nil
	}
	clear(r.Found)
	if len(r.index) > minIndex && len(r.index) > 16*len(r.slots) {
		r.index = r.index[:len(r.index)/2] // one large request shall not cost every small one
	}
	clear(r.index)
	clear(r.slots)
	r.slots = r.slots[:0]
	r.blobs = r.blobs[:0]
	clear(r.symbols)
	r.symbols = r.symbols[:0]
	clear(r.metadata)
	d.cache.sweep(nowMs)
}

// Commit remembers that the batch has been written durably. It is called only when that is so: what is remembered
// as written is not sent again, and a request that comes again after a failure gives the same rows again.
func (r *Request) Commit() {
	for i := range r.slots {
		s := &r.slots[i]
		s.series.rememberDecimals(s.decimals)
		if s.starts.known {
			s.series.remember(s.starts)
		}
		if s.metadata != 0 {
			s.series.metadata.Store(s.metadata)
			s.series.metadataMs.Store(r.nowMs)
		}
	}
}

// Bytes returns roughly how much memory the request holds, for a pool that does not want to keep giants.
func (r *Request) Bytes() int {
	return cap(r.Batch.Series)*64 + cap(r.Batch.Samples.IDs)*29 + cap(r.Batch.Starts)*32 + cap(r.Batch.Histograms)*64 +
		cap(r.Batch.Exemplars)*48 + cap(r.Batch.Metadata)*80 + cap(r.slots)*56 + cap(r.index)*4 + cap(r.blobs) +
		cap(r.raw) + cap(r.symbols)*40
}

// target is where the points of one TimeSeries message go.
type target struct {
	series *series // nil: the message is refused, for the reason below
	slot   int     // -1 until a point is accepted
	// duplicate says that the points are to be counted and nothing more.
	duplicate bool

	why    Reason
	shown  string // the series and the detail, for Rejected
	detail string
	lost   int // points of a refused message
}

// slotOf returns the slot of the target's series, which it opens with the first point. False says that the
// request has another label set with this key, and the target is refused from here on.
func (r *Request) slotOf(t *target) (int, bool) {
	if t.slot >= 0 {
		return t.slot, true
	}
	if 2*(len(r.slots)+1) > len(r.index) {
		r.growIndex()
	}
	mask := uint64(len(r.index) - 1)
	i := t.series.hash & mask
	for ; r.index[i] != 0; i = (i + 1) & mask {
		s := r.slots[r.index[i]-1].series
		if s == t.series || s.key == t.series.key && s.is(r.tenant, t.series.labels) {
			t.slot = int(r.index[i] - 1)
			return t.slot, true
		}
		if s.key == t.series.key {
			r.refuse(t, KeyCollision, func() (string, string) { return r.explainCollision(t.series.labels) })
			return 0, false
		}
	}
	s := t.series
	t.slot = len(r.slots)
	r.index[i] = int32(t.slot + 1)
	r.slots = append(r.slots, slot{series: s, decimals: uint8(s.decimals.Load()), starts: s.startState()})
	r.Batch.Series = append(r.Batch.Series, store.Series{
		Tenant: s.tenant, Key: s.key, Labels: s.labels, MinMs: math.MaxInt64, MaxMs: math.MinInt64,
	})
	return t.slot, true
}

const minIndex = 256

func (r *Request) growIndex() {
	size := max(minIndex, 2*len(r.index))
	r.index = slices.Grow(r.index[:0], size)[:size]
	clear(r.index)
	mask := uint64(size - 1)
	for n := range r.slots {
		i := r.slots[n].series.hash & mask
		for r.index[i] != 0 {
			i = (i + 1) & mask
		}
		r.index[i] = int32(n + 1)
	}
}

// refuse refuses a TimeSeries message from here on.
func (r *Request) refuse(t *target, why Reason, describe func() (series, detail string)) {
	if r.Rejected.wantsCase() {
		t.shown, t.detail = describe()
	}
	t.series, t.why = nil, why
}

// open returns the slot for a point at timeMs, or -1 after counting it as refused.
func (r *Request) open(t *target, timeMs int64) int {
	if t.series == nil {
		t.lost++
		return -1
	}
	if timeMs < r.oldestMs || timeMs > r.nowMs+r.decoder.limits.FutureMs {
		r.refuseTime(t, timeMs)
		return -1
	}
	i, ok := r.slotOf(t)
	if !ok {
		t.lost++
		return -1
	}
	s := &r.Batch.Series[i]
	s.MinMs = min(s.MinMs, timeMs)
	s.MaxMs = max(s.MaxMs, timeMs)
	return i
}

// refuseTime counts a point whose time cannot be: partitions by time, and buckets that close when time has passed,
// would suffer from one bad clock.
func (r *Request) refuseTime(t *target, timeMs int64) {
	why := TooFarInFuture
	switch {
	case timeMs < 0:
		why = BeforeEpoch
	case timeMs < r.oldestMs:
		why = TooOld
	}
	r.Rejected.add(why, 1, func() (string, string) {
		series := r.showSeries(t.series.labels)
		return series, fmt.Sprintf("series %s has a point at %d, which is %s", series, timeMs, r.explainTime(why, timeMs))
	})
}

func (r *Request) explainTime(why Reason, timeMs int64) string {
	switch why {
	case BeforeEpoch:
		return "before 1970"
	case TooOld:
		return fmt.Sprintf("%s old; points may be %s old", millis(r.nowMs-timeMs), millis(r.decoder.limits.AgeMs))
	default:
		return fmt.Sprintf("%s ahead of the receiver's clock", millis(timeMs-r.nowMs))
	}
}

// millis is a number of milliseconds for a message.
func millis(ms int64) time.Duration { return time.Duration(min(ms, 1<<42)) * time.Millisecond }

// close ends a TimeSeries message.
func (r *Request) close(t *target) {
	if t.series == nil {
		r.Rejected.add(t.why, max(1, t.lost), func() (string, string) { return t.shown, t.detail })
	}
}

// count counts a point against the limit on requests.
func (r *Request) count() error { return r.countPoints(1) }

func (r *Request) countPoints(n int) error {
	r.points += n
	if r.points > r.decoder.limits.Points {
		return store.Invalidf("%w: it has more than %d samples, histograms, exemplars and metadata messages", ErrTooMuch, r.decoder.limits.Points)
	}
	return nil
}

func (r *Request) addFloat(t *target, timeMs int64, v float64, startMs int64) {
	i := r.open(t, timeMs)
	if i < 0 {
		return
	}
	var d store.Decimal
	s := &r.slots[i]
	d, s.decimals = store.DecimalOf(v, s.decimals)
	r.Batch.Samples.Append(s.series.key, timeMs, d)
	r.addStart(i, timeMs, startMs)
	r.Accepted.Samples++
}

func (r *Request) addStart(slot int, timeMs, startMs int64) {
	s := &r.slots[slot]
	if startMs != 0 || s.starts.known {
		r.Batch.Series[slot].Has |= store.HasStarts
		r.Batch.Starts = s.starts.next(r.Batch.Starts, s.series.key, timeMs, startMs)
	}
}
