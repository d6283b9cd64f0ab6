package retention

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

func parse(t *testing.T, text string) Config {
	t.Helper()
	c := DefaultConfig()
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaultIsValid(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestBadConfigurationsNameTheKey(t *testing.T) {
	for text, want := range map[string]string{
		"raw: 0s":          "retention.raw: 0s is less than 1d",
		"1m: 2d":           "retention.1m: 2d is less than retention.raw, 1w",
		"1h: 1h":           "retention.1h: 1h is less than",
		"classes: {0: {}}": "retention.classes.0: 0 is the number of the default",
		"classes: {3: {raw: 7d, tenants: [a]}, 4: {raw: 7d, tenants: [a]}}": `retention.classes.4.tenants: tenant "a" is in class 3 already`,
		"classes: {3: {raw: 1h, tenants: [a]}}":                             "retention.classes.3.raw: 1h is less than 1d",
	} {
		err := parse(t, text).Validate()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

func TestTenantsHaveThePolicyOfTheirClass(t *testing.T) {
	c := parse(t, "{raw: 3d, 1m: 0s, classes: {7: {raw: 2d, 1m: 9d, 1h: 2y, tenants: [a, b]}}}")
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	p := NewPolicies(c)
	if p.ClassOf("a") != 7 || p.ClassOf("b") != 7 || p.ClassOf("c") != 0 {
		t.Errorf("classes are %d, %d, %d", p.ClassOf("a"), p.ClassOf("b"), p.ClassOf("c"))
	}
	if p.Of(7).Minute != 9*day || p.Of(0).Minute != 0 || p.Of(99) != p.Of(0) {
		t.Errorf("policies are %+v, %+v, %+v", p.Of(7), p.Of(0), p.Of(99))
	}
	if c.MinRaw() != 48*time.Hour || p.Longest() != time.Duration(2*365*day) {
		t.Errorf("shortest raw %v, longest %v", c.MinRaw(), p.Longest())
	}
}

func TestDue(t *testing.T) {
	d := model.Duration(24 * time.Hour)
	both, none := Policy{Raw: 2 * d, Minute: 5 * d, Hour: 9 * d}, Policy{Raw: 2 * d}
	now := time.UnixMilli(0)
	for _, c := range []struct {
		policy Policy
		part   Partition
		days   int64 // since its end
		want   Action
	}{
		{both, Partition{Kind: Raw, Dense: true}, 1, Keep},
		{both, Partition{Kind: Raw, Dense: true}, 2, Thin},
		{both, Partition{Kind: Raw}, 2, Keep},
		{both, Partition{Kind: Raw, Dense: true}, 5, Drop},
		{none, Partition{Kind: Raw}, 1, Keep},
		{none, Partition{Kind: Raw}, 2, Drop},
		{both, Partition{Kind: Exemplars}, 2, Drop},
		{both, Partition{Kind: Minute}, 4, Keep},
		{both, Partition{Kind: Minute}, 5, Drop},
		{none, Partition{Kind: Minute}, 0, Drop}, // a tier that was turned off
		{both, Partition{Kind: Hour}, 8, Keep},
		{both, Partition{Kind: Hour}, 9, Drop},
	} {
		c.part.ToMs = -c.days * 24 * 3_600_000
		if got := c.policy.Due(c.part, now); got != c.want {
			t.Errorf("%+v, %d days old, by %+v: action %d, want %d", c.part, c.days, c.policy, got, c.want)
		}
	}
}

// TestAssignedClasses take the place of those in the configuration, and what came before them stays known.
func TestAssignedClasses(t *testing.T) {
	p := NewPolicies(parse(t, "{raw: 3d, classes: {7: {raw: 2d, tenants: [a]}, 8: {raw: 9d}}}"))
	now := time.UnixMilli(1_000_000_000_000)
	ago := func(d time.Duration) int64 { return now.Add(-d).UnixMilli() }
	given := map[string][]Assignment{
		"a": {{Class: 8, SinceMs: ago(time.Hour)}, {Class: 0, SinceMs: ago(48 * time.Hour)}},
		"b": {{Class: 99, SinceMs: ago(time.Hour)}},
	}
	p.Assign(func(tenant string) []Assignment { return given[tenant] })
	if p.ClassOf("a") != 8 || p.ClassOf("b") != 0 || p.ClassOf("c") != 0 {
		t.Errorf("classes are %d, %d, %d", p.ClassOf("a"), p.ClassOf("b"), p.ClassOf("c"))
	}
	noTiers := [3]bool{false, true, true}
	want := []Past{
		{8, ago(time.Hour), [3]bool{false, true, true}, noTiers},
		{7, ago(48 * time.Hour), [3]bool{true, true, true}, noTiers},
		{7, math.MinInt64, [3]bool{true, true, true}, noTiers},
	}
	if got := p.History("a", now); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if n := testing.AllocsPerRun(10, func() { p.ClassOf("a") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if got := p.Numbers(); !slices.Equal(got, []uint8{7, 8}) {
		t.Errorf("numbers %v", got)
	}
}
