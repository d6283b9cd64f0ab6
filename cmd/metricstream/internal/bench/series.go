package bench

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// label is one label of a series.
type label struct{ name, value string }

// series is one generated series.
type series struct {
	labels   []label // sorted by name
	instance string
	metric   string
	feed
}

// feed is what writing a series' samples takes, and no more: it stays in the cache.
type feed struct {
	walk walk

	// labelBytes are the labels as fields of a remote-write 1.0 TimeSeries.
	labelBytes []byte
	// symbols are the labels as indices into fleetSeries.symbols: name, value, name, value, ...
	symbols []uint32
	// typ, help and unit are the metadata: the type as remote write numbers it, the others as symbols.
	typ, help, unit uint32

	// offset is where in the scrape interval the series' target is scraped, as a share of it.
	offset float64
}

// familyMeta is what a remote-write 1.0 sender says of a metric family.
type familyMeta struct {
	name, help, unit string
	typ              uint32
}

// fleetSeries is what a seed and a number of series stand for: always the same series in the same order.
type fleetSeries struct {
	series   []series
	symbols  []string // symbols[0] is ""
	families []familyMeta
}

// metadataTypes numbers the types as both remote-write versions do.
var metadataTypes = map[string]uint32{counterType: 1, gaugeType: 2, histogramType: 3}

// newFleet builds the first n series of the seed's endless row of targets.
func newFleet(seed uint64, n int) *fleetSeries {
	b := &fleetBuilder{seed: seed, want: n, ids: map[string]uint32{}, seen: map[string]bool{}}
	b.symbol("")
	b.out.series = make([]series, 0, n)
	jobs := fleet()
	for target := 0; !b.full(); target++ {
		first := len(b.out.series)
		b.target(&jobs[target%len(jobs)], target/len(jobs))
		for i := first; i < len(b.out.series); i++ {
			b.out.series[i].offset = float64(first) / float64(n)
		}
	}
	return &b.out
}

// shard returns every n-th series, from the i-th on, as a copy that lies together in memory in the order in which
// it is written: fetching scattered label sets would cost as much as encoding them.
func (f *fleetSeries) shard(i, n int) []feed {
	var mine []feed
	var text []byte
	var symbols []uint32
	for ; i < len(f.series); i += n {
		mine = append(mine, f.series[i].feed)
		text = append(text, f.series[i].labelBytes...)
		symbols = append(symbols, f.series[i].symbols...)
	}
	for k := range mine {
		t, y := len(mine[k].labelBytes), len(mine[k].symbols)
		mine[k].labelBytes, text = text[:t], text[t:]
		mine[k].symbols, symbols = symbols[:y], symbols[y:]
	}
	return mine
}

type fleetBuilder struct {
	seed uint64
	want int
	out  fleetSeries
	ids  map[string]uint32
	seen map[string]bool
}

func (b *fleetBuilder) full() bool { return len(b.out.series) >= b.want }

func (b *fleetBuilder) symbol(s string) uint32 {
	id, ok := b.ids[s]
	if !ok {
		id = uint32(len(b.out.symbols))
		b.ids[s] = id
		b.out.symbols = append(b.out.symbols, s)
	}
	return id
}

// target adds the series of the job's target number i.
func (b *fleetBuilder) target(j *job, i int) {
	for unit := range j.units {
		common := targetLabels(j, i, unit, b.seed)
		for f := range j.families {
			b.family(&j.families[f], common)
		}
	}
}

func (b *fleetBuilder) family(f *family, common []label) {
	if !b.seen[f.name] && f.help != "" {
		b.seen[f.name] = true
		b.out.families = append(b.out.families, familyMeta{f.name, f.help, f.unit, metadataTypes[f.typ]})
	}
	forEachCombination(f.dims, nil, func(dims []label) {
		all := append(slices.Clone(common), dims...)
		if f.typ != histogramType {
			b.add(f, f.name, all, &f.move, 1<<shareBits)
			return
		}
		// One seed for the whole histogram: see walk.
		group := uint64(len(b.out.series))
		bounds, shares := bucketBounds()
		for k, le := range bounds {
			b.addSeeded(f, f.name+"_bucket", append(slices.Clone(all), label{"le", le}), &f.move, shares[k], group)
		}
		b.addSeeded(f, f.name+"_count", all, &f.move, 1<<shareBits, group)
		sum := seconds(f.move.step*91733, 1e6)
		b.add(f, f.name+"_sum", all, &sum, 1<<shareBits)
	})
}

func (b *fleetBuilder) add(f *family, name string, ls []label, m *move, share uint32) {
	b.addSeeded(f, name, ls, m, share, uint64(len(b.out.series)))
}

func (b *fleetBuilder) addSeeded(f *family, name string, ls []label, m *move, share uint32, group uint64) {
	if b.full() {
		return
	}
	s := series{metric: name, labels: append(slices.Clone(ls), label{"__name__", name})}
	slices.SortFunc(s.labels, func(x, y label) int { return strings.Compare(x.name, y.name) })
	for _, l := range s.labels {
		if l.name == "instance" {
			s.instance = l.value
		}
		s.labelBytes = appendLabel(s.labelBytes, l)
		s.symbols = append(s.symbols, b.symbol(l.name), b.symbol(l.value))
	}
	s.typ, s.help, s.unit = metadataTypes[f.typ], b.symbol(f.help), b.symbol(f.unit)
	s.walk = walk{rng: mix(b.seed ^ mix(group+1)), mant: m.base, move: m, share: share}
	if m.kind == kindCounter || m.kind == kindSparse {
		s.walk.mant = int64(mix(s.walk.rng)%10_000) * int64(m.step) // counters have a past
	}
	b.out.series = append(b.out.series, s)
}

// appendLabel appends field 1 (labels) of a remote-write 1.0 TimeSeries.
func appendLabel(dst []byte, l label) []byte {
	size := 2 + uvarintLen(uint64(len(l.name))) + len(l.name) + uvarintLen(uint64(len(l.value))) + len(l.value)
	dst = binary.AppendUvarint(append(dst, 0x0a), uint64(size))
	dst = appendString(append(dst, 0x0a), l.name)
	return appendString(append(dst, 0x12), l.value)
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func uvarintLen(v uint64) int {
	n := 1
	for v >= 0x80 {
		v >>= 7
		n++
	}
	return n
}

// forEachCombination calls f with one label of each dimension, in every combination.
func forEachCombination(dims []dim, chosen []label, f func([]label)) {
	if len(dims) == 0 {
		f(chosen)
		return
	}
	for _, v := range dims[0].values {
		forEachCombination(dims[1:], append(chosen[:len(chosen):len(chosen)], label{dims[0].name, v}), f)
	}
}

// targetLabels are the labels that a Prometheus operator's scrape gives every series of a target's unit.
func targetLabels(j *job, i, unit int, seed uint64) []label {
	node := fmt.Sprintf("ip-10-%d-%d-%d.eu-central-1.compute.internal", 40+i>>16, i>>8&255, i&255)
	ip := fmt.Sprintf("10.%d.%d.%d", 40+i>>16, i>>8&255, i&255)
	ls := []label{{"cluster", "prod-eu-1"}, {"job", j.name}}
	switch j.name {
	case "node-exporter":
		return append(ls, label{"instance", ip + ":9100"}, label{"endpoint", "metrics"}, label{"namespace", "monitoring"}, label{"node", node},
			label{"pod", "node-exporter-" + suffix(seed, j.name, i, 0, 5)}, label{"service", "node-exporter"})
	case "kubelet":
		pod := podName(seed, i, unit)
		return append(ls, label{"instance", ip + ":10250"}, label{"namespace", namespaceOf(unit)}, label{"node", node}, label{"pod", pod}, label{"container", "main"},
			label{"id", "/kubepods/burstable/pod" + suffix(seed, "uid", i, unit, 32)}, label{"image", "registry.example.com/shop/" + pod[:strings.IndexByte(pod, '-')] + ":v1.4.2"})
	case "checkout":
		return append(ls, label{"instance", ip + ":8080"}, label{"endpoint", "http"}, label{"namespace", "shop"}, label{"node", node}, label{"container", "main"},
			label{"pod", "checkout-6f7c9d-" + suffix(seed, j.name, i, 0, 5)}, label{"service", "checkout"}, label{"version", "v2.31.0"})
	default:
		return append(ls, label{"instance", "10.39.0.7:8080"}, label{"namespace", namespaceOf(unit)}, label{"node", node}, label{"pod", podName(seed, i, unit)},
			label{"uid", suffix(seed, "uid", i, unit, 32)})
	}
}

func podName(seed uint64, i, unit int) string {
	app := []string{"cart", "catalog", "mail", "pay", "search"}[unit%5]
	return app + "-7d4b9c" + strconv.Itoa(unit) + "-" + suffix(seed, "pod", i, unit, 5)
}

func namespaceOf(unit int) string { return []string{"shop", "platform", "search"}[unit%3] }

// suffix is n characters as Kubernetes generates them, from the seed and what they name.
func suffix(seed uint64, what string, i, unit, n int) string {
	const alphabet = "bcdfghjklmnpqrstvwxz2456789"
	h := mix(seed ^ uint64(i)<<20 ^ uint64(unit))
	for _, c := range []byte(what) {
		h = mix(h ^ uint64(c))
	}
	out := make([]byte, n)
	for k := range out {
		h = mix(h + 1)
		out[k] = alphabet[h%uint64(len(alphabet))]
	}
	return string(out)
}
