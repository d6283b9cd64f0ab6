package bench

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// assumedMostPerSecond is the speed that a flat-out run is given room for between its first timestamp and now.
const assumedMostPerSecond = 8e6

// furthestBack is how far ago a run begins at most unless --start says otherwise: receivers refuse what is older than
// remote_write.max_age, a week by default, and the run takes a while.
const furthestBack = 6*24*time.Hour + 12*time.Hour

// timeline says which timestamp a series has in a round of scrapes.
type timeline struct {
	baseMs     int64
	intervalMs float64
}

// at returns the timestamp of a series in a round. The targets of a round are spread over the interval, as
// Prometheus spreads them.
func (t timeline) at(round int64, offset float64) int64 {
	return t.baseMs + round*int64(t.intervalMs) + int64(offset*t.intervalMs)
}

// newTimeline places the run so that it ends before now.
func newTimeline(o *WriteOptions, after *WriteReport, now time.Time) (timeline, error) {
	speed := o.Rate
	if speed == 0 {
		speed = assumedMostPerSecond
	}
	interval := float64(o.Interval.Milliseconds())
	span := time.Duration(o.Duration.Seconds() * speed / float64(o.Series) * float64(o.Interval))
	t := timeline{intervalMs: interval}
	switch {
	case after != nil:
		t.baseMs = after.NextMs
		if o.Rate > 0 && t.baseMs+span.Milliseconds() > now.UnixMilli() {
			return t, fmt.Errorf("cannot begin after the run of %s: it would reach %s past now; use a lower --rate or --duration, or more --series",
				o.StartAfter, time.Duration(t.baseMs+span.Milliseconds()-now.UnixMilli())*time.Millisecond)
		}
		return t, nil
	case o.Start == "now":
		t.baseMs = now.UnixMilli()
	case o.Start == "auto":
		back, err := o.autoStart(span)
		if err != nil {
			return t, err
		}
		t.baseMs = now.Add(-back).UnixMilli()
	default:
		ms, err := parseStart(o.Start, now)
		if err != nil {
			return t, err
		}
		t.baseMs = ms
	}
	if t.baseMs < 0 {
		return t, fmt.Errorf("cannot begin before 1970: %d series at up to %g samples/s for %s would need %s of timestamps; use more --series or a shorter --interval",
			o.Series, speed, o.Duration, span.Round(time.Hour))
	}
	return t, nil
}

// autoStart returns how long ago a run begins that has this span of timestamps. A flat-out run, whose span is a guess
// from above, gets what receivers accept; it ends early where it reaches the present.
func (o *WriteOptions) autoStart(span time.Duration) (time.Duration, error) {
	back := span + o.Interval
	if back <= furthestBack && span >= 0 {
		return back, nil
	}
	if o.Rate == 0 {
		return furthestBack, nil
	}
	return 0, fmt.Errorf("cannot begin %s ago: receivers refuse samples older than remote_write.max_age, by default 168h; use more --series, a shorter --interval, or name the --start",
		back.Round(time.Minute))
}

func parseStart(s string, now time.Time) (int64, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d).UnixMilli(), nil
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && !math.IsNaN(f) {
		return int64(f * 1000), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return 0, fmt.Errorf("cannot read --start=%s: want auto, now, a duration ago such as 6h, Unix seconds or RFC 3339", s)
	}
	return t.UnixMilli(), nil
}
