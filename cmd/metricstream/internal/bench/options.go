package bench

import (
	"errors"
	"fmt"
	"time"
)

// WriteOptions say what [RunWrite] writes, where and how fast. The zero value is not useful; begin with
// [DefaultWriteOptions].
type WriteOptions struct {
	URL         string            // remote-write URL
	QueryURL    string            // base of the query API; empty: scheme and host of URL; "none": no probe
	QueryParams map[string]string // added to every query of the probe
	Headers     map[string]string // added to every request, a tenant's for example
	KeyFile     string            // file with an API key for every request; empty: none

	Protocol          string        // Protocol1 or Protocol2
	Series            int           // number of series
	Seed              uint64        // of labels and values
	Interval          time.Duration // between two timestamps of a series; whole milliseconds
	Rate              float64       // samples/s; 0 is as fast as the target acknowledges
	Duration          time.Duration // how long to write
	Shards            int           // requests in flight
	SamplesPerRequest int

	// Start is the first timestamp: "auto", "now", a duration ago, Unix seconds or RFC 3339. StartAfter is
	// the JSON summary of an earlier run to continue; it wins.
	Start, StartAfter string

	ProbeInterval, ProbePoll time.Duration

	PIDs     []int         // roots of the target's process trees; none: who listens on the URL's port
	Disks    []string      // folders of the target
	Settle   time.Duration // wait after the run before Disks and CPU are read again
	JSONFile string        // receives the report
}

// DefaultWriteOptions returns the defaults of "bench write".
func DefaultWriteOptions() WriteOptions {
	return WriteOptions{
		URL: "http://127.0.0.1:9009/api/v1/write", Protocol: Protocol1, Series: 10_000, Seed: 1, Interval: 15 * time.Second,
		Duration: 30 * time.Second, Shards: 8, SamplesPerRequest: 2000, Start: "auto",
		ProbeInterval: 200 * time.Millisecond, ProbePoll: 50 * time.Millisecond,
	}
}

// check refuses options that cannot work, and fills in the rate of a real-time run.
func (o *WriteOptions) check() error {
	switch {
	case o.Series < 1:
		return fmt.Errorf("--series is %d; want at least 1", o.Series)
	case o.Shards < 1 || o.Shards > o.Series:
		return fmt.Errorf("--shards is %d; want 1 to --series (%d)", o.Shards, o.Series)
	case o.SamplesPerRequest < 1:
		return fmt.Errorf("--samples-per-request is %d; want at least 1", o.SamplesPerRequest)
	case o.Interval < time.Millisecond:
		return fmt.Errorf("--interval is %s; want at least 1ms", o.Interval)
	case o.Rate < 0:
		return fmt.Errorf("--rate is %g; want 0 (flat out) or more", o.Rate)
	case o.Duration <= 0:
		return fmt.Errorf("--duration is %s; want more than 0", o.Duration)
	case o.ProbeInterval <= 0 || o.ProbePoll <= 0:
		return errors.New("--probe-interval and --probe-poll must be more than 0; --query-url=none turns the probe off")
	case o.Protocol != Protocol1 && o.Protocol != Protocol2:
		return fmt.Errorf("--protocol is %q; want %s or %s", o.Protocol, Protocol1, Protocol2)
	}
	if o.Start == "now" && o.StartAfter == "" {
		realTime := float64(o.Series) / o.Interval.Seconds()
		if o.Rate != 0 && o.Rate != realTime {
			return fmt.Errorf("--start=now means a rate of series/interval = %g samples/s; leave --rate out", realTime)
		}
		o.Rate = realTime
	}
	return nil
}
