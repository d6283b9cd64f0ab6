package codec

import (
	"slices"
	"unique"
)

// PairLabels are the names of the labels by which replicas of one sender are told apart. Where they are set, a
// series that has both is a replica's: [Request.Judge] decides whether it is taken, and the replica's label is no
// part of what is stored. A series without one of them is like any other. The zero value looks for none.
type PairLabels struct{ Cluster, Replica string }

// Pair is a replica and the cluster of replicas that send the same.
type Pair struct{ Cluster, Replica string }

// DetectPairs makes the decoder look for replicas. It is called before the first Decode.
func (d *Decoder) DetectPairs(names PairLabels) { d.pairs = names }

// judgement is the last answer of Judge in this request: neighbours nearly always are of one pair.
type judgement struct {
	pair      unique.Handle[Pair]
	duplicate bool
}

// takePair returns the pair that r.labels name and removes the replica's label from them, or the zero handle.
func (r *Request) takePair() unique.Handle[Pair] {
	names := &r.decoder.pairs
	if names.Replica == "" {
		return unique.Handle[Pair]{}
	}
	cluster, replica := r.labelAt(names.Cluster), r.labelAt(names.Replica)
	if cluster < 0 || replica < 0 {
		return unique.Handle[Pair]{}
	}
	// Make copies the strings where it keeps them.
	pair := unique.Make(Pair{unsafeString(r.labels[cluster].value), unsafeString(r.labels[replica].value)})
	r.labels = slices.Delete(r.labels, replica, replica+1)
	return pair
}

// labelAt returns the index of a label in r.labels, or -1.
func (r *Request) labelAt(name string) int {
	return slices.IndexFunc(r.labels, func(l label) bool { return string(l.name) == name })
}

// targetOf returns the target of a message whose series is known.
func (r *Request) targetOf(s sighting) (target, error) {
	t := target{series: s.series, slot: -1}
	if s.pair != (unique.Handle[Pair]{}) {
		if s.pair != r.judged.pair {
			duplicate, err := r.Judge(s.pair.Value())
			if err != nil {
				return t, err
			}
			r.judged = judgement{s.pair, duplicate}
		}
		t.duplicate = r.judged.duplicate
	}
	if s.series.personal != nil && !t.duplicate {
		r.refusePersonal(&t)
	}
	return t, nil
}

// skipSeriesV1 counts the points of a TimeSeries message without looking at them.
func (r *Request) skipSeriesV1(msg []byte) error {
	var n Counts
	in := reader{buf: msg}
	for {
		field, wire, ok := in.next()
		if !ok {
			break
		}
		switch field {
		case v1SeriesSamples:
			n.Samples++
			in.messageField(wire)
		case v1SeriesHistograms:
			n.Histograms++
			in.messageField(wire)
		case v1SeriesExemplars:
			n.Exemplars++
			in.messageField(wire)
		default:
			in.skip(wire)
		}
	}
	if in.err != nil {
		return in.err
	}
	return r.addDuplicates(n)
}

// addDuplicates counts points that are not looked at.
func (r *Request) addDuplicates(n Counts) error {
	r.Duplicates.add(n)
	return r.countPoints(n.Samples + n.Histograms + n.Exemplars)
}

func (c *Counts) add(n Counts) {
	c.Samples += n.Samples
	c.Histograms += n.Histograms
	c.Exemplars += n.Exemplars
	c.Metadata += n.Metadata
}

// Plus returns the sums.
func (c Counts) Plus(n Counts) Counts {
	c.add(n)
	return c
}

// Total returns the sum of all kinds.
func (c Counts) Total() int { return c.Samples + c.Histograms + c.Exemplars + c.Metadata }
