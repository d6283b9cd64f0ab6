package retention

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/model"
)

// Policies looks up classes and policies. It may be used by several goroutines at once.
type Policies struct {
	config   Config
	classOf  map[string]uint8
	assigned atomic.Pointer[func(tenant string) []Assignment]
}

// Assignment is the class that the data of a tenant gets which comes after a time. 0 is the class that the configuration
// says.
type Assignment struct {
	Class   uint8 `json:"class"`
	SinceMs int64 `json:"since_ms"`
}

// NewPolicies returns the policies of a valid configuration.
func NewPolicies(c Config) *Policies {
	p := &Policies{config: c, classOf: map[string]uint8{}}
	for number, class := range c.Classes {
		for _, tenant := range class.Tenants {
			p.classOf[tenant] = number
		}
	}
	return p
}

// Assign gives tenants classes that take the place of those in the configuration, as of each moment. f returns a
// tenant's assignments, the newest first, nothing for a tenant without any; they must not change.
func (p *Policies) Assign(f func(tenant string) []Assignment) { p.assigned.Store(&f) }

// ClassOf returns the class that a tenant's samples get from now on; 0 is the default policy's.
func (p *Policies) ClassOf(tenant string) uint8 {
	if f := p.assigned.Load(); f != nil {
		if all := (*f)(tenant); len(all) > 0 {
			return p.known(tenant, all[0].Class)
		}
	}
	return p.classOf[tenant]
}

// known returns the class of an assignment. One that the configuration has not (any more) is as if there were none.
func (p *Policies) known(tenant string, class uint8) uint8 {
	if _, ok := p.config.Classes[class]; ok {
		return class
	}
	return p.classOf[tenant]
}

// Past is a class that the samples of a tenant have had.
type Past struct {
	Class uint8

	// SinceMs is from when on what came had it, until the time of the class after it.
	SinceMs int64

	// Over tells for raw, minutes and hours whether what came at that time is past its retention, or there is none.
	Over [3]bool

	// Off tells which of them the class has not.
	Off [3]bool
}

// History returns the classes that a tenant's samples have had, the newest first and at least one.
func (p *Policies) History(tenant string, now time.Time) []Past {
	var out []Past
	add := func(class uint8, sinceMs int64) {
		of := p.Of(class)
		past := Past{Class: class, SinceMs: sinceMs}
		for tier, keep := range []model.Duration{of.Raw, of.Minute, of.Hour} {
			past.Off[tier] = keep == 0
			past.Over[tier] = sinceMs <= now.Add(-time.Duration(keep)).UnixMilli()
		}
		out = append(out, past)
	}
	if f := p.assigned.Load(); f != nil {
		for _, a := range (*f)(tenant) {
			add(p.known(tenant, a.Class), a.SinceMs)
		}
	}
	add(p.classOf[tenant], math.MinInt64)
	return out
}

// Numbers returns the numbers of the classes in ascending order.
func (p *Policies) Numbers() []uint8 { return p.config.numbers() }

// Of returns the policy of a class.
func (p *Policies) Of(class uint8) Policy {
	if c, ok := p.config.Classes[class]; ok {
		return c.Policy
	}
	return p.config.Policy
}
