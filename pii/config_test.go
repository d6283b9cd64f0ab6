package pii

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDefaultConfig(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	p, err := NewPolicies(PolicyOptions{Defaults: c.Settings})
	if err != nil || p.Of("a").Active() || p.Of("a").Fingerprint() != 0 {
		t.Errorf("something is looked for by default: %v", err)
	}
}

func TestBadConfigs(t *testing.T) {
	pattern := func(p Pattern) Config { return Config{Settings: Settings{Patterns: []Pattern{p}}} }
	for want, c := range map[string]Config{
		"pii.hash_secret: has 5 bytes":                 {HashSecret: "short"},
		`pii.detectors: there is no "mail"`:            {Settings: Settings{Detectors: map[string]Action{"mail": Mask}}},
		`pii.detectors.email: is "hide"`:               {Settings: Settings{Detectors: map[string]Action{"email": "hide"}}},
		`pii.patterns: the name "a b"`:                 pattern(Pattern{"a b", "x", Mask}),
		`pii.patterns: the name "é"`:                   pattern(Pattern{"é", "x", Mask}),
		`pii.patterns: the action of a is ""`:          pattern(Pattern{"a", "x", ""}),
		"pii.patterns: the regex of a has 501":         pattern(Pattern{"a", strings.Repeat("x", 501), Mask}),
		"pii.patterns: the regex of a: ":               pattern(Pattern{"a", "(?=x)", Mask}),
		"pii.patterns: the regex of a finds":           pattern(Pattern{"a", "x*", Mask}),
		`pii.patterns: there is another detector`:      pattern(Pattern{"email", "x", Mask}),
		"pii.patterns: there are 21, at most 20":       {Settings: Settings{Patterns: make([]Pattern, 21)}},
		"pii.exempt: has 1001 labels, at most 1000 ar": {Settings: Settings{Exempt: manyLabels(1001)}},
	} {
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if c := (Config{HashSecret: "0123456789abcdef"}).Redacted(); c.HashSecret != "xxxxx" {
		t.Errorf("the secret is shown: %q", c.HashSecret)
	}
}

func manyLabels(n int) map[string][]string {
	all := map[string][]string{}
	for i := range n {
		all[strings.Repeat("x", i)] = nil
	}
	return all
}

// TestOverrides puts a tenant's own settings over the configuration's, by name.
func TestOverrides(t *testing.T) {
	base := Settings{
		Detectors: map[string]Action{"email": Mask, "ipv4": Report}, Exempt: map[string][]string{"version": {"ipv4"}, "job": {"*"}},
		Patterns: []Pattern{{"a", "a+", Mask}, {"b", "b+", Mask}},
	}
	var o Overrides
	if err := json.Unmarshal([]byte(`{"detectors":{"ipv4":"off"},"exempt":{"job":[]},"patterns":[{"name":"b","regex":"B+","action":"off"}]}`), &o); err != nil {
		t.Fatal(err)
	}
	got, err := o.Over(base)
	want := Settings{
		Detectors: map[string]Action{"email": Mask, "ipv4": Off}, Exempt: map[string][]string{"version": {"ipv4"}, "job": {}},
		Patterns: []Pattern{{"a", "a+", Mask}, {"b", "B+", Off}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	for _, text := range []string{`{"detectors":`, `[]`, `{"detectors":{}} x`, `{"secret":"x"}`, `{"exempt":` + strings.Repeat(" ", MaxOverrides) + `{}}`} {
		if err := o.UnmarshalJSON([]byte(text)); err == nil {
			t.Errorf("%.30s was taken", text)
		}
	}
	if err := o.UnmarshalJSON([]byte(` {"detectors": {}} `)); err != nil || o != "" {
		t.Errorf("%q %v", o, err)
	}
}

// TestPolicies: each tenant has its own, changes count at once, and what cannot be read leaves the defaults in force.
func TestPolicies(t *testing.T) {
	own := map[string]Overrides{"off": `{"detectors":{"email":"off"}}`, "drop": `{"detectors":{"email":"drop"}}`, "newer": `{"detectors":{"dna":"drop"}}`}
	p, err := NewPolicies(PolicyOptions{
		Defaults: Settings{Detectors: map[string]Action{"email": Mask}}, Overrides: func(tenant string) Overrides { return own[tenant] }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	verdict := func(tenant string) Verdict { return p.Of(tenant).Treat("l", "a@b.cc").Verdict }
	for tenant, want := range map[string]Verdict{"none": Change, "off": Keep, "drop": Leave, "newer": Change} {
		if got := verdict(tenant); got != want {
			t.Errorf("%s: %v, want %v", tenant, got, want)
		}
	}
	before := p.Of("drop").Fingerprint()
	own["drop"] = `{"detectors":{"email":"refuse"}}`
	if verdict("drop") != Reject || p.Of("drop").Fingerprint() == before || p.Of("none").Fingerprint() != p.Of("newer").Fingerprint() {
		t.Error("a change does not count, or policies cannot be told apart")
	}
	if _, err := NewPolicies(PolicyOptions{Defaults: Settings{Detectors: map[string]Action{"email": Hash}}}); err == nil || !strings.Contains(err.Error(), "pii.hash_secret") {
		t.Errorf("hashes without a secret: %v", err)
	}
}
