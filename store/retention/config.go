// Package retention owns how long data is kept: the policies, which of them a tenant has, and the janitor that drops whole
// partitions when their time is over. How partitions are found and dropped is left to the store.
package retention

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/common/model"
)

// Config is the configuration of retention: the policy of all tenants that no class names, and the classes.
type Config struct {
	Policy `yaml:",inline"`

	// Classes are the policies of some tenants by a number from 1 to 255. The number is stored with the data: a class
	// that is no longer configured keeps its data for as long as the default policy says.
	Classes map[uint8]Class `yaml:"classes,omitempty"`
}

// Policy says how long the samples and the rows of the tiers are kept. 0 turns a tier off.
type Policy struct {
	// Raw is for how long every sample is kept. Where it is shorter than Minute, the samples of series that are too
	// sparse for rows of minutes stay as long as Minute says, because they are smaller than the rows.
	Raw model.Duration `yaml:"raw"`

	// Minute is for how long a row for each minute is kept, Hour a row for each hour.
	Minute model.Duration `yaml:"1m"`
	Hour   model.Duration `yaml:"1h"`
}

// Class is the policy of some tenants.
type Class struct {
	Policy `yaml:",inline"`

	// Tenants have the class unless the metadata database says otherwise, see [Policies.Assign].
	Tenants []string `yaml:"tenants"`
}

const day = model.Duration(24 * time.Hour)

// DefaultConfig returns the defaults: samples for a week, minutes for a month, hours for a year.
func DefaultConfig() Config {
	return Config{Policy: Policy{Raw: 7 * day, Minute: 30 * day, Hour: 365 * day}}
}

// Validate checks the configuration.
func (c Config) Validate() error {
	errs := []error{c.Policy.validate("retention")}
	of := map[string]uint8{}
	for _, number := range c.numbers() {
		class := c.Classes[number]
		key := fmt.Sprintf("retention.classes.%d", number)
		if number == 0 {
			errs = append(errs, errors.New("retention.classes.0: 0 is the number of the default policy; use 1 to 255"))
		}
		errs = append(errs, class.validate(key))
		for _, tenant := range class.Tenants {
			if other, taken := of[tenant]; taken {
				errs = append(errs, fmt.Errorf("%s.tenants: tenant %q is in class %d already", key, tenant, other))
			}
			of[tenant] = number
		}
	}
	return errors.Join(errs...)
}

func (p Policy) validate(key string) error {
	var errs []error
	if p.Raw < day {
		errs = append(errs, fmt.Errorf("%s.raw: %s is less than 1d; the tiers are made of raw, which is dropped by whole days", key, p.Raw))
	}
	for name, d := range map[string]model.Duration{"1m": p.Minute, "1h": p.Hour} {
		if d != 0 && d < p.Raw {
			errs = append(errs, fmt.Errorf("%s.%s: %s is less than %s.raw, %s; set it longer, or to 0 to have no such tier", key, name, d, key, p.Raw))
		}
	}
	return errors.Join(errs...)
}

// tiers reports whether there is any tier.
func (p Policy) tiers() bool { return p.Minute > 0 || p.Hour > 0 }

func (c Config) numbers() []uint8 {
	var out []uint8
	for number := range c.Classes {
		out = append(out, number)
	}
	slices.Sort(out)
	return out
}

// MinRaw returns the shortest time that any tenant's samples are kept.
func (c Config) MinRaw() time.Duration {
	least := c.Raw
	for _, class := range c.Classes {
		least = min(least, class.Raw)
	}
	return time.Duration(least)
}
