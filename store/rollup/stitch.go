package rollup

import (
	"context"

	"github.com/metricstream/metricstream/store"
)

// Stitch reads rows of which none is missing: those of the tables where they are complete, and rows folded from raw
// everywhere else. That is in the newest hours, in hours that were written into late, in hours of series that are too
// sparse for rows of minutes, and at the ends of a time that is no multiple of the tier's step. What raw does not have any
// more is missing: [Coverage] says so. It is a [Reader], and safe for several goroutines at once.
type Stitch struct {
	tiers Reader
	raw   store.Reader
}

var _ Reader = (*Stitch)(nil)

// NewStitch returns a Stitch. raw has to hand out series in the order of their keys, with their keys.
func NewStitch(tiers Reader, raw store.Reader) *Stitch { return &Stitch{tiers: tiers, raw: raw} }

// Read counts what was read of tables.
type Read struct {
	Rows    int64 // of the tier
	Samples int64 // of raw
}

// Coverage returns what the tables have, see [Reader]; the Stitch itself answers beyond it, up to now.
func (s *Stitch) Coverage(ctx context.Context, tenant string) (Coverage, error) {
	return s.tiers.Coverage(ctx, tenant)
}

// SelectRollups reads the rows whose bucket ends lie in [MinMs, MaxMs]; see [Reader].
func (s *Stitch) SelectRollups(ctx context.Context, sel Selection, yield func(*Series) error) error {
	step := sel.Tier.StepMs()
	return s.SelectSpan(ctx, sel, Span{FromMs: EndMs(sel.MinMs, step) - step, ToMs: floorTo(sel.MaxMs, step)}, yield)
}

// SelectSpan reads the rows of the samples in a span, whose ends need not be multiples of the step: the first and the last
// row are of those samples of their bucket that lie in the span. MinMs and MaxMs of the selection are not looked at, and
// MaxSamples bounds the rows of the tables and the samples of raw, each.
func (s *Stitch) SelectSpan(ctx context.Context, sel Selection, span Span, yield func(*Series) error) error {
	if span.FromMs >= span.ToMs {
		return nil
	}
	if sel.Read == nil {
		sel.Read = &Read{}
	}
	parts, err := s.divide(ctx, sel, span)
	if err != nil {
		return err
	}
	var sources []*source
	defer func() {
		for _, o := range sources {
			o.stop()
		}
	}()
	// What is streamed holds on to a connection, so the short spans are read before and kept, and there is one order in
	// which the two streams begin.
	for i, r := range parts.raw {
		if i != parts.longest {
			kept, err := s.keepRaw(ctx, sel, r)
			if err != nil {
				return err
			}
			sources = append(sources, kept)
		}
	}
	if len(parts.tier) > 0 {
		sources = append(sources, s.streamTier(ctx, sel, parts.tier))
	}
	if len(parts.raw) > 0 {
		sources = append(sources, s.streamRaw(ctx, sel, parts.raw[parts.longest]))
	}
	return stitchSeries(sources, parts.tier, yield)
}

// division says where the rows of a span come from. Where both lists have an hour, series that the tier has no row of in
// this hour come from raw.
type division struct {
	tier, raw []Span
	longest   int // of raw
}

func (s *Stitch) divide(ctx context.Context, sel Selection, span Span) (division, error) {
	covered, err := s.tiers.Coverage(ctx, sel.Tenant)
	if err != nil {
		return division{}, err
	}
	step := sel.Tier.StepMs()
	inner := Span{FromMs: EndMs(span.FromMs, step), ToMs: floorTo(span.ToMs, step)}
	d := division{tier: within(covered[sel.Tier], inner)}
	d.raw = without(span, d.tier)
	if sel.Tier == Minute && len(d.tier) > 0 {
		sparse, err := s.sparse(ctx, sel, d.tier, covered[Hour])
		if err != nil {
			return division{}, err
		}
		d.raw = union(d.raw, sparse)
	}
	for i, r := range d.raw {
		if l := d.raw[d.longest]; r.ToMs-r.FromMs > l.ToMs-l.FromMs {
			d.longest = i
		}
	}
	return d, nil
}

// sparse returns the hours of the spans in which some series may have no rows of minutes although it has samples: those
// in which the row of the hour says so, and those that have no rows of hours to say it.
func (s *Stitch) sparse(ctx context.Context, sel Selection, spans, hours []Span) ([]Span, error) {
	var out []Span
	for _, span := range spans {
		whole := Span{FromMs: floorTo(span.FromMs, hourMs), ToMs: EndMs(span.ToMs, hourMs)}
		known := within(hours, whole)
		found := without(whole, known)
		for _, k := range known {
			flagged, err := s.flagged(ctx, sel, k)
			if err != nil {
				return nil, err
			}
			found = union(found, flagged)
		}
		for _, f := range within(found, span) {
			out = appendSpan(out, f)
		}
	}
	return out, nil
}

// flagged returns the hours of a span in which some series' row has the flag NoMinutes.
func (s *Stitch) flagged(ctx context.Context, sel Selection, span Span) ([]Span, error) {
	sel.Tier, sel.Columns, sel.Windows, sel.MaxSamples = Hour, 0, Windows{}, 0
	sel.MinMs, sel.MaxMs = span.FromMs+1, span.ToMs
	flagged := make([]bool, (span.ToMs-span.FromMs)/hourMs)
	note := func(endMs int64, f Flags) {
		if f&NoMinutes != 0 {
			flagged[(endMs-span.FromMs)/hourMs-1] = true
		}
	}
	err := s.tiers.SelectRollups(ctx, sel, func(r *Series) error {
		for i, end := range r.Rows.EndsMs {
			note(end, r.Rows.Flags[i])
		}
		for i := range r.Histograms {
			note(r.Histograms[i].EndMs, r.Histograms[i].Flags)
		}
		sel.Read.Rows += int64(r.Rows.Len() + len(r.Histograms))
		return nil
	})
	var out []Span
	for i, f := range flagged {
		if end := span.FromMs + int64(i+1)*hourMs; f {
			out = appendSpan(out, Span{FromMs: end - hourMs, ToMs: end})
		}
	}
	return out, err
}
